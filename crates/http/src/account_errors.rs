//! The status and errcode of every error of `gatehouse-accounts`.

use gatehouse_accounts::{
    AccountDataError, AddThreepidError, Challenge, ChangePasswordError, DeviceError, FilterError, HashError,
    LoginError, NewDeviceError, PasswordError, ProfileError, PusherError, RefreshError, RegistrationError,
    RegistrationTokenError, RequestValidationError, SharedSecretError, Stage, StageFailure,
    SubmitValidationError, TagError, ThreepidError, UiaError, Unavailable, UserError, UsernameError,
    ValidatedError,
};
use gatehouse_mail::CannotSend;
use http::StatusCode;
use serde_json::{Value, json};

use crate::ApiError;

/// What a client is told to wait when too many passwords are being hashed, in milliseconds: the queue holds about a
/// second's work.
const BUSY_RETRY_MS: u64 = 1_000;

impl From<Unavailable> for ApiError {
    fn from(error: Unavailable) -> Self {
        match error {
            Unavailable::Store(source) => source.into(),
            Unavailable::Contended | Unavailable::Randomness => ApiError::unavailable(error.to_string()),
        }
    }
}

impl From<RegistrationError> for ApiError {
    fn from(error: RegistrationError) -> Self {
        let text = error.to_string();
        match error {
            RegistrationError::Closed | RegistrationError::TokenUsedUp | RegistrationError::NotTheGuest => {
                ApiError::forbidden(text)
            }
            RegistrationError::NoGuests => ApiError::guest_access_forbidden(text),
            RegistrationError::InvalidUsername(_) => bad_request("M_INVALID_USERNAME", text),
            RegistrationError::UserInUse => bad_request("M_USER_IN_USE", text),
            RegistrationError::Exclusive => bad_request("M_EXCLUSIVE", text),
            RegistrationError::MissingPassword => ApiError::missing_param(text),
            RegistrationError::Password(source) => source.into(),
            RegistrationError::Authentication(source) => source.into(),
            RegistrationError::AddressInUse => bad_request("M_THREEPID_IN_USE", text),
            RegistrationError::Validated(source) => source.into(),
            RegistrationError::Device(source) => source.into(),
            RegistrationError::Busy => busy(),
            RegistrationError::Unavailable(source) => source.into(),
        }
    }
}

impl From<LoginError> for ApiError {
    fn from(error: LoginError) -> Self {
        let text = error.to_string();
        match error {
            LoginError::InvalidCredentials => ApiError::forbidden(text),
            LoginError::Locked => locked(text),
            LoginError::Busy => busy(),
            LoginError::Device(source) => source.into(),
            LoginError::Unavailable(source) => source.into(),
        }
    }
}

impl From<RefreshError> for ApiError {
    fn from(error: RefreshError) -> Self {
        let text = error.to_string();
        match error {
            RefreshError::UnknownToken => ApiError::unknown_token(text),
            RefreshError::Locked => locked(text),
            RefreshError::Unavailable(source) => source.into(),
        }
    }
}

impl From<NewDeviceError> for ApiError {
    fn from(error: NewDeviceError) -> Self {
        let text = error.to_string();
        match error {
            NewDeviceError::InvalidDeviceId => ApiError::invalid_param(text),
            NewDeviceError::TooManyDevices => forbidden_as("M_RESOURCE_LIMIT_EXCEEDED", text),
            NewDeviceError::Unavailable(source) => source.into(),
        }
    }
}

impl From<DeviceError> for ApiError {
    fn from(error: DeviceError) -> Self {
        let text = error.to_string();
        match error {
            DeviceError::NotFound => ApiError::not_found(text),
            DeviceError::NameTooLong => bad_request("M_TOO_LARGE", text),
            DeviceError::Unavailable(source) => source.into(),
        }
    }
}

impl From<PasswordError> for ApiError {
    fn from(error: PasswordError) -> Self {
        let text = error.to_string();
        match error {
            PasswordError::Invalid => ApiError::invalid_param(text),
            PasswordError::Busy => busy(),
            PasswordError::User(source) => source.into(),
            PasswordError::Unavailable(source) => source.into(),
        }
    }
}

impl From<ChangePasswordError> for ApiError {
    fn from(error: ChangePasswordError) -> Self {
        let text = error.to_string();
        match error {
            ChangePasswordError::Authentication(source) => source.into(),
            ChangePasswordError::MissingPassword => ApiError::missing_param(text),
            ChangePasswordError::NotLoggedIn => ApiError::missing_token(text),
            ChangePasswordError::UnknownAddress => bad_request("M_THREEPID_NOT_FOUND", text),
            ChangePasswordError::Validated(source) => source.into(),
            ChangePasswordError::Password(source) => source.into(),
            ChangePasswordError::Unavailable(source) => source.into(),
        }
    }
}

impl From<RequestValidationError> for ApiError {
    fn from(error: RequestValidationError) -> Self {
        let text = error.to_string();
        match error {
            RequestValidationError::InvalidClientSecret | RequestValidationError::SecretInUse => {
                ApiError::invalid_param(text)
            }
            RequestValidationError::AddressInUse => bad_request("M_THREEPID_IN_USE", text),
            RequestValidationError::UnknownAddress => bad_request("M_THREEPID_NOT_FOUND", text),
            RequestValidationError::CannotSend(CannotSend::Unwritable) => ApiError::internal(text),
            RequestValidationError::CannotSend(CannotSend::NoEmail | CannotSend::NoSms) => {
                bad_request("M_THREEPID_MEDIUM_NOT_SUPPORTED", text)
            }
            RequestValidationError::Unavailable(source) => source.into(),
        }
    }
}

impl From<SubmitValidationError> for ApiError {
    fn from(error: SubmitValidationError) -> Self {
        let text = error.to_string();
        match error {
            SubmitValidationError::Invalid => ApiError::invalid_param(text),
            SubmitValidationError::NoSession => bad_request("M_NO_VALID_SESSION", text),
            SubmitValidationError::Expired => bad_request("M_SESSION_EXPIRED", text),
            SubmitValidationError::WrongToken => bad_request("M_TOKEN_INCORRECT", text),
            SubmitValidationError::Unavailable(source) => source.into(),
        }
    }
}

impl From<ValidatedError> for ApiError {
    fn from(error: ValidatedError) -> Self {
        let text = error.to_string();
        match error {
            ValidatedError::Invalid => ApiError::invalid_param(text),
            ValidatedError::NoSession | ValidatedError::NotValidated | ValidatedError::Used => {
                forbidden_as("M_THREEPID_AUTH_FAILED", text)
            }
            ValidatedError::Unavailable(source) => source.into(),
        }
    }
}

impl From<ThreepidError> for ApiError {
    fn from(error: ThreepidError) -> Self {
        let text = error.to_string();
        match error {
            ThreepidError::InUse => bad_request("M_THREEPID_IN_USE", text),
            ThreepidError::TooMany => forbidden_as("M_RESOURCE_LIMIT_EXCEEDED", text),
            ThreepidError::Unavailable(source) => source.into(),
        }
    }
}

impl From<AddThreepidError> for ApiError {
    fn from(error: AddThreepidError) -> Self {
        let text = error.to_string();
        match error {
            AddThreepidError::Validated(source) => source.into(),
            AddThreepidError::Threepid(source) => source.into(),
            AddThreepidError::Deactivated => forbidden_as("M_USER_DEACTIVATED", text),
            AddThreepidError::Unavailable(source) => source.into(),
        }
    }
}

impl From<HashError> for ApiError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => busy(),
            HashError::Unavailable(source) => source.into(),
        }
    }
}

impl From<UserError> for ApiError {
    fn from(error: UserError) -> Self {
        let text = error.to_string();
        match error {
            UserError::NotFound => ApiError::not_found(text),
            UserError::Deactivated => forbidden_as("M_USER_DEACTIVATED", text),
            UserError::Unavailable(source) => source.into(),
        }
    }
}

impl From<ProfileError> for ApiError {
    fn from(error: ProfileError) -> Self {
        let text = error.to_string();
        match error {
            ProfileError::InvalidKey | ProfileError::NotAString => ApiError::invalid_param(text),
            ProfileError::KeyTooLarge => bad_request("M_KEY_TOO_LARGE", text),
            ProfileError::DisplaynameTooLong | ProfileError::AvatarUrlTooLong => {
                bad_request("M_TOO_LARGE", text)
            }
            ProfileError::TooLarge => bad_request("M_PROFILE_TOO_LARGE", text),
            ProfileError::User(source) => source.into(),
            ProfileError::Unavailable(source) => source.into(),
        }
    }
}

impl From<PusherError> for ApiError {
    fn from(error: PusherError) -> Self {
        let text = error.to_string();
        match error {
            PusherError::AppId
            | PusherError::Pushkey
            | PusherError::Text
            | PusherError::Data
            | PusherError::Gateway => ApiError::invalid_param(text),
            PusherError::TooMany => forbidden_as("M_RESOURCE_LIMIT_EXCEEDED", text),
            PusherError::LoggedOut => ApiError::unknown_token(text).with("soft_logout", false),
            PusherError::Unavailable(source) => source.into(),
        }
    }
}

impl From<AccountDataError> for ApiError {
    fn from(error: AccountDataError) -> Self {
        let text = error.to_string();
        match error {
            AccountDataError::ReadOnly => ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON", text),
            AccountDataError::NotAnObject | AccountDataError::Number => ApiError::bad_json(text),
            AccountDataError::InvalidType => ApiError::invalid_param(text),
            AccountDataError::TooLarge => ApiError::too_large(text),
            AccountDataError::Unavailable(source) => source.into(),
        }
    }
}

impl From<TagError> for ApiError {
    fn from(error: TagError) -> Self {
        let text = error.to_string();
        match error {
            TagError::InvalidTag => ApiError::invalid_param(text),
            TagError::AccountData(source) => source.into(),
        }
    }
}

impl From<FilterError> for ApiError {
    fn from(error: FilterError) -> Self {
        let text = error.to_string();
        match error {
            FilterError::Invalid(_) => ApiError::bad_json(text),
            FilterError::TooLarge => ApiError::too_large(text),
            FilterError::TooMany => forbidden_as("M_RESOURCE_LIMIT_EXCEEDED", text),
            FilterError::Unavailable(source) => source.into(),
        }
    }
}

impl From<RegistrationTokenError> for ApiError {
    fn from(error: RegistrationTokenError) -> Self {
        let text = error.to_string();
        match error {
            RegistrationTokenError::Invalid
            | RegistrationTokenError::ExpiryInThePast
            | RegistrationTokenError::Exists => ApiError::invalid_param(text),
            RegistrationTokenError::NotFound => ApiError::not_found(text),
            RegistrationTokenError::Unavailable(source) => source.into(),
        }
    }
}

impl From<SharedSecretError> for ApiError {
    fn from(error: SharedSecretError) -> Self {
        let text = error.to_string();
        match error {
            SharedSecretError::Disabled | SharedSecretError::InvalidNonce => ApiError::unknown(text),
            SharedSecretError::InvalidMac => ApiError::forbidden(text),
            SharedSecretError::Unavailable(source) => source.into(),
        }
    }
}

impl From<UsernameError> for ApiError {
    fn from(error: UsernameError) -> Self {
        match error {
            UsernameError::Invalid => bad_request("M_INVALID_USERNAME", error.to_string()),
        }
    }
}

impl From<UiaError> for ApiError {
    fn from(error: UiaError) -> Self {
        let text = error.to_string();
        match error {
            UiaError::Challenge(challenge) => challenged(&challenge),
            UiaError::OtherRequest | UiaError::OtherUser => ApiError::forbidden(text),
            UiaError::Captcha(_) => ApiError::unavailable(text),
            UiaError::Busy => busy(),
            UiaError::Unavailable(source) => source.into(),
        }
    }
}

/// The 401 that lists what is left to prove. It has an errcode only when a stage was tried and failed.
fn challenged(challenge: &Challenge) -> ApiError {
    let flows: Vec<Value> = challenge
        .flows
        .iter()
        .map(|flow| json!({ "stages": flow.iter().map(|stage| stage.as_str()).collect::<Vec<_>>() }))
        .collect();
    let params = match &challenge.captcha_key {
        Some(key) => json!({ Stage::Recaptcha.as_str(): { "public_key": key } }),
        None => json!({}),
    };
    let error = match challenge.failure {
        None => ApiError::authentication_needed(),
        Some(failure) => ApiError::new(
            StatusCode::UNAUTHORIZED,
            stage_errcode(failure),
            failure.to_string(),
        ),
    };
    error
        .with("flows", flows)
        .with("params", params)
        .with("completed", challenge.completed.clone())
        .with("session", challenge.session.expose())
}

fn stage_errcode(failure: StageFailure) -> &'static str {
    match failure {
        StageFailure::WrongPassword | StageFailure::WrongToken => "M_FORBIDDEN",
        StageFailure::NoCaptcha => "M_CAPTCHA_NEEDED",
        StageFailure::WrongCaptcha => "M_CAPTCHA_INVALID",
        StageFailure::NotProven => "M_THREEPID_AUTH_FAILED",
        StageFailure::AddressInUse => "M_THREEPID_IN_USE",
        StageFailure::Malformed => "M_BAD_JSON",
        StageFailure::UnknownStage => "M_UNRECOGNIZED",
        StageFailure::UnknownSession => "M_UNKNOWN",
    }
}

fn locked(text: String) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "M_USER_LOCKED", text).with("soft_logout", true)
}

fn busy() -> ApiError {
    ApiError::limit_exceeded(BUSY_RETRY_MS)
}

fn bad_request(errcode: &'static str, text: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, errcode, text)
}

fn forbidden_as(errcode: &'static str, text: String) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, errcode, text)
}
