//! What suffices to register here.

use gatehouse_mail::Medium;

use crate::{Accounts, Flow, Purpose, RegistrationError, Stage};

const EMAIL: Stage = Stage::Email(Purpose::Register);
const MSISDN: Stage = Stage::Msisdn(Purpose::Register);

impl Accounts {
    /// What suffices to register here. A captcha comes first, before anybody is asked for an address; an address is
    /// proven before a token is shown, which would suffice already.
    pub fn registration_flows(&self) -> Result<Vec<Flow>, RegistrationError> {
        let registration = &self.config().registration;
        let token: &[Stage] = match (registration.token_required, registration.open) {
            (true, _) => &[Stage::RegistrationToken],
            (false, true) => &[],
            (false, false) => return Err(RegistrationError::Closed),
        };
        let captcha: &[Stage] = match self.captcha() {
            Some(captcha) if captcha.required => &[Stage::Recaptcha],
            _ => &[],
        };
        let with = |stages: &[Stage]| [captcha, stages, token].concat();
        if registration.email_required {
            return Ok(vec![with(&[EMAIL])]);
        }
        let alone = if token.is_empty() {
            // Not the captcha alone, which those complete too who go on to prove an address.
            with(&[Stage::Dummy])
        } else {
            with(&[])
        };
        let media = [(Medium::Email, EMAIL), (Medium::Msisdn, MSISDN)];
        let proven = media.into_iter().filter(|(medium, _)| self.can_validate(*medium));
        let flows = proven.map(|(_, stage)| with(&[stage]));
        Ok(std::iter::once(alone).chain(flows).collect())
    }
}
