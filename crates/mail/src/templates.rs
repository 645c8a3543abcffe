//! From a letter to the text that is sent. Templates are Jinja's; those of the operator stand before ours.

use std::{path::Path, sync::Arc};

use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use thiserror::Error;

use crate::{Letter, Medium};

/// Ours, by file name.
const BUILT_IN: [(&str, &str); 13] = [
    ("letter.html", include_str!("../templates/letter.html")),
    ("validation.txt", include_str!("../templates/validation.txt")),
    ("validation.html", include_str!("../templates/validation.html")),
    ("validation.sms", include_str!("../templates/validation.sms")),
    (
        "password_reset.txt",
        include_str!("../templates/password_reset.txt"),
    ),
    (
        "password_reset.html",
        include_str!("../templates/password_reset.html"),
    ),
    ("invitation.txt", include_str!("../templates/invitation.txt")),
    ("invitation.html", include_str!("../templates/invitation.html")),
    ("invitation.sms", include_str!("../templates/invitation.sms")),
    (
        "address_in_use.txt",
        include_str!("../templates/address_in_use.txt"),
    ),
    (
        "address_in_use.html",
        include_str!("../templates/address_in_use.html"),
    ),
    ("no_account.txt", include_str!("../templates/no_account.txt")),
    ("no_account.html", include_str!("../templates/no_account.html")),
];

/// An operator's template may be this long.
const MAX_TEMPLATE_BYTES: u64 = 256 << 10;

/// The texts of all letters.
#[derive(Clone)]
pub struct Templates {
    environment: Arc<Environment<'static>>,
}

/// Why templates cannot be used.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// A file cannot be read.
    #[error("cannot read the mail template {file}: {reason}")]
    File {
        /// Which.
        file: String,
        /// Why.
        reason: String,
    },
    /// A file is no template.
    #[error("the mail template {file} is not valid: {source}")]
    Template {
        /// Which.
        file: String,
        /// Why.
        source: minijinja::Error,
    },
    /// A letter cannot be written with its template.
    #[error("a letter cannot be written: {0}")]
    Render(#[from] minijinja::Error),
}

/// What a letter became.
pub(crate) struct Rendered {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

impl Templates {
    /// Our own.
    pub fn built_in() -> Result<Self, TemplateError> {
        Self::overridden(None)
    }

    /// Our own, but those of which the folder has a file of the same name.
    pub fn overridden(folder: Option<&Path>) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|name| match name.rsplit_once('.') {
            Some((_, "html")) => AutoEscape::Html,
            _ => AutoEscape::None,
        });
        // A name that is misspelt is an error at the start, and not an empty place in a mail.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, built_in) in BUILT_IN {
            let own = folder
                .map(|folder| read(&folder.join(name)))
                .transpose()?
                .flatten();
            let text = own.unwrap_or_else(|| built_in.to_owned());
            let added = environment.add_template_owned(name, text);
            added.map_err(|source| TemplateError::Template {
                file: name.to_owned(),
                source,
            })?;
        }
        let templates = Self {
            environment: Arc::new(environment),
        };
        for letter in Letter::examples() {
            for medium in [Medium::Email, Medium::Msisdn] {
                templates.render(&letter, medium, "example.org")?;
            }
        }
        Ok(templates)
    }

    /// The letter's text; `None`: it is not sent by this medium. The first line of a text template is the subject.
    pub(crate) fn render(
        &self,
        letter: &Letter,
        medium: Medium,
        server_name: &str,
    ) -> Result<Option<Rendered>, TemplateError> {
        let Some(name) = letter.template(medium) else {
            return Ok(None);
        };
        let context = letter.context(server_name);
        let write = |suffix: &str| -> Result<String, TemplateError> {
            let template = self.environment.get_template(&format!("{name}.{suffix}"))?;
            Ok(template.render(&context)?)
        };
        if medium == Medium::Msisdn {
            return Ok(Some(Rendered {
                subject: String::new(),
                text: write("sms")?.trim().to_owned(),
                html: String::new(),
            }));
        }
        let text = write("txt")?;
        let (subject, text) = text.split_once('\n').unwrap_or((text.as_str(), ""));
        Ok(Some(Rendered {
            subject: subject.trim().to_owned(),
            text: text.to_owned(),
            html: write("html")?,
        }))
    }
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Templates")
    }
}

/// The file's text; `None`: there is none.
fn read(path: &Path) -> Result<Option<String>, TemplateError> {
    let failed = |reason: String| TemplateError::File {
        file: path.display().to_string(),
        reason,
    };
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
        Ok(found) if found.len() > MAX_TEMPLATE_BYTES => return Err(failed("it is too long".to_owned())),
        Ok(_) => {}
    }
    std::fs::read_to_string(path)
        .map(Some)
        .map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_letter_can_be_written() {
        let templates = Templates::built_in().unwrap();
        for letter in Letter::examples() {
            let written = templates
                .render(&letter, Medium::Email, "hs.example")
                .unwrap()
                .unwrap();
            assert!(written.subject.len() > 10 && !written.subject.contains('\n'));
            assert!(written.text.contains("hs.example") || written.subject.contains("Alice"));
            assert!(written.html.contains("<p>"));
        }
        for letter in [&Letter::examples()[0], &Letter::examples()[4]] {
            let written = templates
                .render(letter, Medium::Msisdn, "hs.example")
                .unwrap()
                .unwrap();
            assert!(written.text.len() < 160, "{}", written.text);
        }
        assert!(
            templates
                .render(&Letter::NoAccount, Medium::Msisdn, "s")
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn w11_what_strangers_chose_is_escaped() {
        let letter = Letter::Invitation {
            inviter: "<b>x</b>".to_owned(),
            room: Some("\"><script>".to_owned()),
            link: "https://hs.example/x".to_owned(),
        };
        let written = Templates::built_in()
            .unwrap()
            .render(&letter, Medium::Email, "hs")
            .unwrap()
            .unwrap();
        assert!(
            !written.html.contains("<script") && !written.html.contains("<b>x"),
            "{}",
            written.html
        );
        assert!(written.html.contains("&lt;b&gt;x"));
        assert!(
            written.text.contains("<b>x"),
            "a text part has no markup to escape"
        );
    }

    #[test]
    fn templates_of_the_operator_stand_before_ours() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("no_account.txt"),
            "Hello\nfrom {{ server_name }}",
        )
        .unwrap();
        let templates = Templates::overridden(Some(folder.path())).unwrap();
        let written = templates
            .render(&Letter::NoAccount, Medium::Email, "hs")
            .unwrap()
            .unwrap();
        assert_eq!(
            (written.subject.as_str(), written.text.as_str()),
            ("Hello", "from hs")
        );
        for broken in [
            "{% if %}",
            "{{ server_nmae }}",
            "{{ server_name|nonsense }}",
            "{% include 'x' %}",
        ] {
            std::fs::write(folder.path().join("no_account.txt"), broken).unwrap();
            let error = Templates::overridden(Some(folder.path())).unwrap_err();
            assert!(error.to_string().contains("no_account.txt"), "{broken}: {error}");
        }
    }
}
