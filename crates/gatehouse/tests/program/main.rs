//! The real program, as people start, use, stop and kill it. One binary, so that it links once.

#[cfg(test)]
mod address_secrets;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod identity_alone;
#[cfg(test)]
mod identity_apart;
#[cfg(test)]
mod identity_commands;
#[cfg(test)]
mod invitations;
#[cfg(test)]
mod logs;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod partners;
#[cfg(test)]
mod process;
#[cfg(test)]
mod real_clients;
#[cfg(test)]
mod starting;
#[cfg(test)]
mod stopping;
