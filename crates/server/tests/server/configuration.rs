//! What the contract promises about `gatehouse.toml`.

use gatehouse_server::{
    Config,
    config::{Api, ConfigError, Overrides, load},
};

/// Every key of the contract and of the SyTest plugin, each with a value that is not its default.
const EVERY_KEY: &str = r#"
server_name = "127.0.0.1:8800"
public_baseurl = "https://127.0.0.1:8800/"
data_dir = "somewhere"
signing_key_file = "somewhere/a.key"

[database]
url = "postgres://localhost/gatehouse"
pool_size = 3
cache_mib = 5

[[listener]]
address = "127.0.0.1"
port = 8800
tls_cert = "cert.pem"
tls_key = "key.pem"
serve = ["client", "federation", "media", "identity", "admin", "metrics"]
trusted_proxies = ["127.0.0.1"]

[[listener]]
address = "unix:/run/gatehouse.sock"

[log]
level = "debug"
format = "json"

[rooms]
default_version = "10"
legacy_default_version = "9"
cached_rooms = 10
event_cache_mib = 4

[registration]
open = true
guests = true
shared_secret = "reg_secret"
cheap_password_hash = true
token_required = true
email_required = true
invited_addresses = true
terms = { version = "1" }

[rate_limits]
enabled = false
message = { per_second = 1.5, burst = 2 }
registration = { per_second = 1, burst = 2 }
login = { per_second = 1, burst = 2 }
joins_local = { per_second = 1, burst = 2 }
joins_remote = { per_second = 1, burst = 2 }
joins_per_room = { per_second = 1, burst = 2 }
invites_per_room = { per_second = 1, burst = 2 }
invites_per_user = { per_second = 1, burst = 2 }
invites_per_issuer = { per_second = 1, burst = 2 }
third_party_invites = { per_second = 1, burst = 2 }
threepid_validation = { per_second = 1, burst = 2 }
federation = { per_second = 1, burst = 2 }

[support]
page = "https://example.org/help"
contacts = [{ role = "m.role.admin", matrix_id = "@a:example.org", email_address = "a@example.org" }]

[federation]
enabled = false
extra_ca_files = ["ca.crt"]
deny_ip_ranges = []
trusted_key_servers = []
public_rooms = true
allow_servers = ["a.example"]
deny_servers = ["b.example"]

[outbound_http]
verify_tls = false
deny_ip_ranges = []

[identity_servers]
trusted = ["*"]
default = "id.example"

[identity_service]
enabled = false
server_name = "id.example"

[email]
smtp_host = "127.0.0.1"
smtp_port = 25
smtp_tls = "none"
smtp_user = "gatehouse"
smtp_password = "secret"
from = "gatehouse@example.org"

[sms]
url = "http://127.0.0.1:1/"

[room_directory]
public_without_auth = true
anyone_may_publish = false

[media]
max_upload_size = 1000
url_previews = true
store = "files"

[app_services]
registration_files = ["a.yaml", "b.yaml"]

[recaptcha]
verify_url = "http://127.0.0.1:1/"
public_key = "a"
private_key = "b"
required = false

[cas]
server_url = "http://127.0.0.1:1/"

[turn]
uris = ["turn:127.0.0.1"]
shared_secret = "secret"
lifetime = 60

[metrics]

[admin]
"#;

fn loaded(text: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gatehouse.toml");
    std::fs::write(&file, text).unwrap();
    load(Some(&file), std::iter::empty(), &Overrides::default())
}

/// The sentence with which this is refused.
#[track_caller]
fn refusal(text: &str) -> String {
    match loaded(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_key_of_the_contract_is_accepted_and_used() {
    let config = loaded(EVERY_KEY).map_err(|error| error.to_string()).unwrap();
    assert_eq!(config.server_name, "127.0.0.1:8800");
    assert_eq!(config.database.cache_mib, 5);
    let served = &config.listener[0].serve;
    assert_eq!(
        *served,
        [
            Api::Client,
            Api::Federation,
            Api::Media,
            Api::Identity,
            Api::Admin,
            Api::Metrics
        ]
    );
    assert_eq!(config.listener[1].address, "unix:/run/gatehouse.sock");
    assert_eq!(config.rooms.legacy_default_version, "9");
    assert_eq!(config.registration.shared_secret.as_deref(), Some("reg_secret"));
    assert_eq!(config.rate_limits.by_key().len(), 12);
    assert_eq!(config.rate_limits.by_key()["message"].burst, 2);
    assert_eq!(config.federation.deny_ip_ranges, Some(Vec::new()));
    assert!(config.room_directory.public_without_auth);
}

#[test]
fn each_key_may_also_come_from_the_environment() {
    let variables = [
        ("GATEHOUSE__SERVER_NAME", "a.example"),
        ("GATEHOUSE__RATE_LIMITS__ENABLED", "false"),
        ("GATEHOUSE__RATE_LIMITS__LOGIN", "{ per_second = 1, burst = 2 }"),
        ("GATEHOUSE__ROOMS__DEFAULT_VERSION", "\"11\""),
        ("GATEHOUSE__LISTENER", "[{ port = 1234 }]"),
        ("GATEHOUSE__IDENTITY_SERVERS__TRUSTED", "[\"id.example\"]"),
    ];
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = load(None, variables, &Overrides::default()).ok().unwrap();
    assert_eq!(config.server_name, "a.example");
    assert!(!config.rate_limits.enabled);
    assert_eq!(config.rate_limits.by_key()["login"].burst, 2);
    assert_eq!(config.rooms.default_version, "11");
    assert_eq!(config.listeners()[0].port, 1234);
    assert_eq!(config.identity_servers.trusted, ["id.example"]);
}

#[test]
fn an_unknown_key_at_any_level_names_file_line_and_nearest_key() {
    let wrong = [
        ("sever_name = \"a\"\n", 1, "sever_name", "server_name"),
        (
            "\n\n[regstration]\nopen = true\n",
            3,
            "regstration",
            "registration",
        ),
        ("[registration]\n\ngests = true\n", 3, "gests", "guests"),
        (
            "[[listener]]\nport = 1\n[[listener]]\nadress = \"::1\"\n",
            4,
            "adress",
            "address",
        ),
        (
            "[rate_limits]\nlogn = { per_second = 1, burst = 1 }\n",
            2,
            "logn",
            "login",
        ),
        (
            "[rate_limits]\n\nlogin = { per_second = 1, brust = 1 }\n",
            3,
            "brust",
            "burst",
        ),
        (
            "[rate_limits.login]\nper_second = 1\nburts = 1\n",
            3,
            "burts",
            "burst",
        ),
        (
            "[[support.contacts]]\nrole = \"a\"\nmatrixid = \"b\"\n",
            3,
            "matrixid",
            "matrix_id",
        ),
        ("[identity_service]\nenable = true\n", 2, "enable", "enabled"),
    ];
    for (text, line, key, near) in wrong {
        let sentence = refusal(text);
        for part in [
            "gatehouse.toml".to_owned(),
            format!("line {line}:"),
            format!("`{key}`"),
            format!("did you mean `{near}`?"),
        ] {
            assert!(sentence.contains(&part), "{text:?}: {sentence:?} lacks {part:?}");
        }
    }
}

#[test]
fn a_value_of_the_wrong_kind_names_file_and_line() {
    for (text, line) in [
        ("server_name = 5\n", 1),
        ("[log]\nformat = \"xml\"\n", 2),
        ("[[listener]]\nserve = [\"client\",\n  \"everything\"]\n", 3),
        ("[[listener]]\nport = 70000\n", 2),
        ("[database]\nurl = \"\"\nurl = \"\"\n", 3),
        ("[rooms\n", 1),
    ] {
        let sentence = refusal(text);
        assert!(
            sentence.contains(&format!("line {line}:")),
            "{text:?}: {sentence}"
        );
    }
}

#[test]
fn a_secret_that_others_can_read_or_that_stands_twice_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    std::fs::write(&file, "hunter2\n").unwrap();
    let text = format!("[registration]\nshared_secret_file = {file:?}\n");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let sentence = refusal(&text);
    assert!(
        sentence.contains("chmod 600") && !sentence.contains("hunter2"),
        "{sentence}"
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let config = loaded(&text).ok().unwrap();
    assert_eq!(config.registration.shared_secret.as_deref(), Some("hunter2"));
    assert!(refusal(&format!("{text}shared_secret = \"other\"\n")).contains("both set"));
}
