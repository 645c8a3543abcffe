//! Trying to log in, as the limits count it. One bucket for an account, by whatever API or page somebody tries
//! (security.md T32).

use std::net::IpAddr;

use gatehouse_accounts::{Accounts, Unavailable};
use gatehouse_mail::Threepid;
use ruma::ServerName;

use crate::{ApiError, Limit, RateLimits};

/// Who wants to log in.
#[derive(Debug)]
pub struct LoginName {
    /// What [`Accounts::login_with_password`] takes.
    pub name: String,
    account: String,
}

impl LoginName {
    /// Somebody named by localpart or user id.
    pub fn user(accounts: &Accounts, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            account: account_key(accounts.server_name(), name),
        }
    }

    /// Whoever has this address.
    pub async fn address(accounts: &Accounts, threepid: &Threepid) -> Result<Self, Unavailable> {
        Ok(match accounts.threepid_owner(threepid).await? {
            Some(user_id) => Self::user(accounts, user_id.as_str()),
            // Nobody has the empty name: the answer is that to a wrong password, and takes as long.
            None => Self {
                name: String::new(),
                account: threepid_key(threepid),
            },
        })
    }
}

/// One try to log in.
#[derive(Debug)]
pub struct LoginAttempt<'a> {
    limits: &'a RateLimits,
    address: IpAddr,
    account: &'a str,
}

impl<'a> LoginAttempt<'a> {
    /// Counts the try; those who were wrong too often are refused before a password is looked at.
    pub fn begin(limits: &'a RateLimits, address: IpAddr, name: &'a LoginName) -> Result<Self, ApiError> {
        let attempt = Self {
            limits,
            address,
            account: &name.account,
        };
        limits.peek(Limit::LoginFailed, attempt.account)?;
        limits.peek_address(Limit::LoginFailed, address)?;
        limits.check_address(Limit::Login, address)?;
        limits.check(Limit::LoginAccount, attempt.account)?;
        Ok(attempt)
    }

    /// Counts a wrong password.
    pub fn fail(&self) -> Result<(), ApiError> {
        self.limits.check(Limit::LoginFailed, self.account)?;
        self.limits.check_address(Limit::LoginFailed, self.address)
    }
}

/// How an account counts, however its name is written: by localpart or as a whole, in small letters or capitals.
pub fn account_key(server_name: &ServerName, name: &str) -> String {
    let name = name.to_lowercase();
    let localpart = name.strip_prefix('@').unwrap_or(&name);
    let localpart = localpart
        .strip_suffix(&server_name.as_str().to_lowercase())
        .and_then(|rest| rest.strip_suffix(':'))
        .unwrap_or(localpart);
    format!("@{localpart}:{server_name}")
}

/// How an address counts.
pub fn threepid_key(threepid: &Threepid) -> String {
    format!("{} {}", threepid.medium().as_str(), threepid.address())
}
