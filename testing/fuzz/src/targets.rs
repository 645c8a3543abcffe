//! The list of targets, each in a file of its own.

mod address;
mod event;
mod filter;
mod identifier;
mod json;
mod key;
mod pdu;
mod query;
mod state_answer;
mod token;
mod transaction;
mod wildcard;
mod x_matrix;

pub use self::{
    address::address, event::event, filter::filter, identifier::identifier, json::json, key::key, pdu::pdu,
    query::query, state_answer::state_answer, token::token, transaction::transaction, wildcard::wildcard,
    x_matrix::x_matrix,
};

/// One parser, what must hold of it, and what it is known to take or to refuse.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// For the report of a failure.
    pub name: &'static str,
    /// Panics when a promise is broken; else says whether the input was accepted.
    pub check: fn(&[u8]) -> bool,
    /// Golden inputs, to be damaged.
    pub corpus: &'static [&'static [u8]],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "json",
        check: json,
        corpus: json::CORPUS,
    },
    Target {
        name: "event",
        check: event,
        corpus: event::CORPUS,
    },
    Target {
        name: "pdu",
        check: pdu,
        corpus: pdu::CORPUS,
    },
    Target {
        name: "state_answer",
        check: state_answer,
        corpus: state_answer::CORPUS,
    },
    Target {
        name: "transaction",
        check: transaction,
        corpus: transaction::CORPUS,
    },
    Target {
        name: "x_matrix",
        check: x_matrix,
        corpus: x_matrix::CORPUS,
    },
    Target {
        name: "token",
        check: token,
        corpus: token::CORPUS,
    },
    Target {
        name: "filter",
        check: filter,
        corpus: filter::CORPUS,
    },
    Target {
        name: "wildcard",
        check: wildcard,
        corpus: wildcard::CORPUS,
    },
    Target {
        name: "key",
        check: key,
        corpus: key::CORPUS,
    },
    Target {
        name: "identifier",
        check: identifier,
        corpus: identifier::CORPUS,
    },
    Target {
        name: "query",
        check: query,
        corpus: query::CORPUS,
    },
    Target {
        name: "address",
        check: address,
        corpus: address::CORPUS,
    },
];

/// Cuts the input at the first 0xFF, which no UTF-8 has.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = data.splitn(2, |&byte| byte == 0xFF);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}
