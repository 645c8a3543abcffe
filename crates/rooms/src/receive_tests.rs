//! Two or three servers in one process: what comes of their rooms when events meet late, twice, or in another order.

mod apart;
mod branches;
mod circles;
mod costs;
mod counted;
mod gaps;
mod made_up_gaps;
mod memberships;
mod neighbours;
mod refusals;
mod tampered;
mod world;
