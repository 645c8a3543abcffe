//! Making accounts.

use std::net::IpAddr;

use gatehouse_mail::Threepid;
use gatehouse_store::Batch;
use ruma::{OwnedUserId, UserId};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    Accounts, DeviceRequest, LoggedIn, LoginError, NewDeviceError, PasswordError, Secret, Stage,
    ThreepidError, UiaError, UiaRequest, Unavailable, UsernameError, ValidatedError,
    accounts::ATTEMPTS,
    passwords::check_new_password,
    random,
    remembered_registration::{Recalled, remember},
    tables::USERS,
    user_interactive::Proof,
    users::UserRow,
};

/// How many digits the localpart of somebody has who asks for none.
const NUMERIC_LOCALPART_DIGITS: usize = 12;

/// What somebody who registers asks for.
#[derive(Debug, Clone, Default)]
pub struct RegistrationRequest {
    /// The localpart; a number is given when there is none.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The token of the guest who wants to become a user of the same name.
    pub guest_access_token: Option<Secret>,
    /// The first device.
    pub device: DeviceRequest,
    /// Whether to make no device and no tokens.
    pub inhibit_login: bool,
    /// From which address they ask.
    pub address: Option<IpAddr>,
}

/// A new account made by an administrator or the operator.
#[derive(Debug, Clone)]
pub struct NewUser<'a> {
    /// The localpart.
    pub username: &'a str,
    /// `None`: nobody can log in by password until one is set.
    pub password: Option<&'a Secret>,
    /// May use the administration API.
    pub is_admin: bool,
}

/// What was registered.
#[derive(Debug)]
pub struct Registered {
    /// The new user.
    pub user_id: OwnedUserId,
    /// The first device, unless it was not wanted.
    pub login: Option<LoggedIn>,
}

/// Why there is no new account.
#[derive(Debug, Error)]
pub enum RegistrationError {
    /// Nobody may register here. `M_FORBIDDEN`.
    #[error("Registration is closed on this server. Ask its administrators for an account.")]
    Closed,
    /// Guests may not register here. `M_FORBIDDEN`.
    #[error("This server has no guest access. Register or log in.")]
    NoGuests,
    /// Not a username. `M_INVALID_USERNAME`.
    #[error(transparent)]
    InvalidUsername(#[from] UsernameError),
    /// Somebody has it, or had it. `M_USER_IN_USE`.
    #[error("This username is taken. Choose another.")]
    UserInUse,
    /// A guest has it, and the token with which this guest would become a user is not theirs. `M_FORBIDDEN`.
    #[error("This username is taken, and the guest access token is not its owner's.")]
    NotTheGuest,
    /// An application service has reserved it. `M_EXCLUSIVE`.
    #[error("This username is reserved for a bridge or bot. Choose another.")]
    Exclusive,
    /// There is no password. `M_MISSING_PARAM`.
    #[error("A password is needed.")]
    MissingPassword,
    /// The password cannot be one.
    #[error(transparent)]
    Password(PasswordError),
    /// Something is left to prove, or it is not allowed.
    #[error(transparent)]
    Authentication(#[from] UiaError),
    /// The registration token was used up meanwhile. `M_FORBIDDEN`.
    #[error("This registration token has been used as often as it may be.")]
    TokenUsedUp,
    /// The address that was proven belongs to another account. `M_THREEPID_IN_USE`.
    #[error("This address has an account here already. Log in to that one.")]
    AddressInUse,
    /// What proved the address was used meanwhile. `M_THREEPID_AUTH_FAILED`.
    #[error(transparent)]
    Validated(ValidatedError),
    /// The device cannot be had.
    #[error(transparent)]
    Device(#[from] NewDeviceError),
    /// Too many others are waiting.
    #[error("Too many people are logging in at once; try again in a moment.")]
    Busy,
    /// The server cannot.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl From<PasswordError> for RegistrationError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Busy,
            PasswordError::Unavailable(source) => Self::Unavailable(source),
            invalid @ (PasswordError::Invalid | PasswordError::User(_)) => Self::Password(invalid),
        }
    }
}

impl From<ThreepidError> for RegistrationError {
    fn from(error: ThreepidError) -> Self {
        match error {
            ThreepidError::InUse | ThreepidError::TooMany => Self::AddressInUse,
            ThreepidError::Unavailable(source) => Self::Unavailable(source),
        }
    }
}

impl From<ValidatedError> for RegistrationError {
    fn from(error: ValidatedError) -> Self {
        match error {
            ValidatedError::Unavailable(source) => Self::Unavailable(source),
            error => Self::Validated(error),
        }
    }
}

/// A user about to be committed.
struct Candidate<'a> {
    row: UserRow,
    /// The guest who becomes this user.
    guest: Option<UserRow>,
    device: Option<&'a DeviceRequest>,
    proof: Option<&'a Proof>,
    invited: Option<Invited<'a>>,
}

/// The address that somebody was invited by.
#[derive(Clone, Copy)]
pub(crate) struct Invited<'a> {
    pub(crate) threepid: &'a Threepid,
    pub(crate) validated_ms: u64,
}

impl Accounts {
    /// Registers with user-interactive authentication. `body` is the request as it came: what is proved, is proved
    /// for it. `request` is its meaning, or what the session remembers when the body brings only `auth`.
    pub async fn register(
        &self,
        body: &Map<String, Value>,
        request: RegistrationRequest,
    ) -> Result<Registered, RegistrationError> {
        let flows = self.registration_flows()?;
        let uia = UiaRequest {
            operation: "register",
            user_id: None,
            body,
            flows: &flows,
            also: if self.captcha().is_some() {
                &[Stage::Recaptcha]
            } else {
                &[]
            },
            address: request.address,
        };
        if let Some(user_id) = self.registered_before(&uia).await? {
            return self.repeat_registration(user_id, &request).await;
        }
        let Recalled {
            request,
            hash: remembered_hash,
            is_guest,
        } = self.recall(&uia, request).await?;
        let wanted = request
            .username
            .as_deref()
            .map(|name| self.new_user_id(name))
            .transpose()?;
        let turn = match &wanted {
            Some(user_id) => Some(self.turns().turn(user_id).await),
            None => None,
        };
        let guest = match &wanted {
            Some(user_id) => {
                let token = request.guest_access_token.as_ref();
                self.guest_or_nobody(user_id, token, is_guest).await?
            }
            None => None,
        };
        if let Some(password) = &request.password {
            check_new_password(password)?;
        } else if remembered_hash.is_none() && body.get("auth").is_some_and(Value::is_object) {
            return Err(RegistrationError::MissingPassword);
        }
        let proof = self.prove_registration(&uia, &request, guest.is_some()).await?;
        let hash = match (remembered_hash, &request.password) {
            (_, Some(password)) => self.hash_new_password(password).await?,
            (Some(hash), None) => hash,
            (None, None) => return Err(RegistrationError::MissingPassword),
        };
        self.spend(&proof).await?;
        let candidate = Candidate {
            row: match &guest {
                Some(guest) => guest.clone().no_longer_guest(hash),
                None => UserRow::new(self.now_ms(), Some(hash)),
            },
            guest,
            device: (!request.inhibit_login).then_some(&request.device),
            proof: Some(&proof),
            invited: None,
        };
        let registered = self.create(wanted, candidate).await;
        drop(turn);
        registered
    }

    /// Registers a guest.
    pub async fn register_guest(&self, device: DeviceRequest) -> Result<Registered, RegistrationError> {
        if !self.config().registration.guests {
            return Err(RegistrationError::NoGuests);
        }
        // A guest's device is the server's to name (specification, "Guest access").
        let device = DeviceRequest {
            device_id: None,
            ..device
        };
        let mut row = UserRow::new(self.now_ms(), None);
        row.guest = true;
        let candidate = Candidate {
            row,
            guest: None,
            device: Some(&device),
            proof: None,
            invited: None,
        };
        self.create(None, candidate).await
    }

    /// Makes an account on an administrator's word.
    pub async fn create_user(
        &self,
        user: &NewUser<'_>,
        device: Option<&DeviceRequest>,
    ) -> Result<Registered, RegistrationError> {
        let user_id = self.new_user_id(user.username)?;
        let _turn = self.turns().turn(&user_id).await;
        self.check_free(&user_id).await?;
        let hash = match user.password {
            Some(password) => Some(self.hash_new_password(password).await?),
            None => None,
        };
        let mut row = UserRow::new(self.now_ms(), hash);
        row.admin = user.is_admin;
        let candidate = Candidate {
            row,
            guest: None,
            device,
            proof: None,
            invited: None,
        };
        self.create(Some(user_id), candidate).await
    }

    pub(crate) async fn create_invited(
        &self,
        username: &str,
        password: &Secret,
        invited: Invited<'_>,
        device: Option<&DeviceRequest>,
    ) -> Result<Registered, RegistrationError> {
        let user_id = self.new_user_id(username)?;
        let _turn = self.turns().turn(&user_id).await;
        self.check_free(&user_id).await?;
        let hash = self.hash_new_password(password).await?;
        let candidate = Candidate {
            row: UserRow::new(self.now_ms(), Some(hash)),
            guest: None,
            device,
            proof: None,
            invited: Some(invited),
        };
        self.create(Some(user_id), candidate).await
    }

    /// Whether somebody could register this name.
    pub async fn check_username(&self, username: &str) -> Result<OwnedUserId, RegistrationError> {
        let user_id = self.new_user_id(username)?;
        self.check_free(&user_id).await?;
        Ok(user_id)
    }

    async fn prove_registration(
        &self,
        uia: &UiaRequest<'_>,
        request: &RegistrationRequest,
        is_guest: bool,
    ) -> Result<Proof, RegistrationError> {
        // The hash is made only for a client that is about to be sent away with a session.
        let wants_session = !uia.body.get("auth").is_some_and(Value::is_object);
        let hash = match &request.password {
            Some(password) if wants_session => Some(self.hash_new_password(password).await?),
            _ => None,
        };
        Ok(self
            .prove(uia, || hash.map(|hash| remember(request, &hash, is_guest)))
            .await?)
    }

    /// The answer to a registration was lost, and the client sends the same again, password and all.
    async fn repeat_registration(
        &self,
        user_id: OwnedUserId,
        request: &RegistrationRequest,
    ) -> Result<Registered, RegistrationError> {
        let login = if request.inhibit_login {
            None
        } else {
            let login = self.login_as(&user_id, &request.device).await;
            Some(login.map_err(|error| match error {
                LoginError::InvalidCredentials | LoginError::Locked => RegistrationError::UserInUse,
                LoginError::Busy => RegistrationError::Busy,
                LoginError::Device(source) => source.into(),
                LoginError::Unavailable(source) => source.into(),
            })?)
        };
        Ok(Registered { user_id, login })
    }

    async fn check_free(&self, user_id: &UserId) -> Result<(), RegistrationError> {
        if self.user_exists(user_id).await? {
            return Err(RegistrationError::UserInUse);
        }
        Ok(())
    }

    async fn create(
        &self,
        wanted: Option<OwnedUserId>,
        candidate: Candidate<'_>,
    ) -> Result<Registered, RegistrationError> {
        for _ in 0..ATTEMPTS {
            let user_id = if let Some(user_id) = &wanted {
                user_id.clone()
            } else {
                let localpart = random::digits(NUMERIC_LOCALPART_DIGITS).map_err(Unavailable::from)?;
                self.local_user_id(&localpart).ok_or(UsernameError::Invalid)?
            };
            if let Some(registered) = self.try_create(user_id, &candidate).await? {
                return Ok(registered);
            }
            // A conflict is over the name, or over a registration token that others use too.
            if let Some(user_id) = &wanted
                && self.user_row(user_id).await? != candidate.guest
            {
                return Err(RegistrationError::UserInUse);
            }
        }
        Err(Unavailable::Contended.into())
    }

    async fn try_create(
        &self,
        user_id: OwnedUserId,
        candidate: &Candidate<'_>,
    ) -> Result<Option<Registered>, RegistrationError> {
        let mut batch = Batch::new();
        batch.expect(&USERS, &(user_id.clone(),), candidate.guest.as_ref());
        batch.put(&USERS, &(user_id.clone(),), &candidate.row);
        if let Some(proof) = candidate.proof {
            if let Some(token) = proof.row.registration_token()
                && !self.put_token_use(&mut batch, token).await?
            {
                return Err(RegistrationError::TokenUsedUp);
            }
            for sid in proof.row.validations() {
                let proven = self.validated_by_stage(sid).await?;
                proven.put_use(&mut batch);
                self.put_threepid(&mut batch, &user_id, proven.threepid(), proven.validated_ms())
                    .await?;
            }
            Self::put_registered(&mut batch, proof, &user_id);
        }
        if let Some(Invited {
            threepid,
            validated_ms,
        }) = candidate.invited
        {
            self.put_threepid(&mut batch, &user_id, threepid, validated_ms)
                .await?;
        }
        let mut revoked = Vec::new();
        if candidate.guest.is_some() {
            let kept = candidate.device.and_then(|device| device.device_id.as_deref());
            revoked = self.put_end_of_guest(&mut batch, &user_id, kept).await?;
        }
        let login = match candidate.device {
            Some(device) => {
                let (login, replaced) = self.put_login(&mut batch, &user_id, device).await?;
                revoked.extend(replaced);
                Some(login)
            }
            None => None,
        };
        let changed = candidate.guest.is_some().then_some(&*user_id);
        let committed = self.commit_revocation(batch, revoked, changed).await?;
        Ok(committed.map(|_| Registered { user_id, login }))
    }
}
