//! What the settings say of signatures and keys.

use super::{Config, SignatureMode};

const PRIVATE: &str =
    "lP3sHA+9gileOkXYJXh4Jg8tK0gEEMbf9yCPnFpbldhrAY+NErqL9WD+Vav7TE5tyVXGXBle9ONZi2W7o144eQ==";
const PINNED: &str = "seller.example|key-1|awGPjRK6i/Vg/lWr+0xObclVxlwZXvTjWYtlu6NeOHk=";

fn none() -> [(String, String); 0] {
    []
}

#[test]
fn only_loopback_may_be_unsigned_unless_it_is_said() {
    let check = |listen: &str, mode: SignatureMode, allow_unsigned: bool, expected: bool| {
        let mut config = Config::default();
        config.http.listen = listen.parse().unwrap();
        config.signature.mode = mode;
        config.signature.allow_unsigned = allow_unsigned;
        let found = config.check_exposure().is_ok();
        assert_eq!(found, expected, "{listen} {mode:?} {allow_unsigned}");
    };
    for loopback in ["127.0.0.1:8080", "127.8.8.8:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"] {
        for mode in [SignatureMode::Optional, SignatureMode::Off, SignatureMode::Required] {
            check(loopback, mode, false, true);
        }
    }
    for outside in ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:8080"] {
        check(outside, SignatureMode::Optional, false, false);
        check(outside, SignatureMode::Off, false, false);
        check(outside, SignatureMode::Required, false, true);
        check(outside, SignatureMode::Optional, true, true);
        check(outside, SignatureMode::Off, true, true);
    }
}

#[test]
fn an_exposed_listener_is_told_every_way_out() {
    let mut config = Config::default();
    config.http.listen = "0.0.0.0:81".parse().unwrap();
    let message = config.check_exposure().unwrap_err().to_string();
    for way in [
        "http.listen = \"127.0.0.1:81\"",
        "signature.allow_unsigned = true",
        "BECKN_RECEIVER_SIGNATURE__ALLOW_UNSIGNED=true",
        "signature.mode = \"required\"",
    ] {
        assert!(message.contains(way), "{message}");
    }
}

#[test]
fn required_signatures_need_to_know_who_we_are_and_where_keys_are() {
    let check = |text: &str, expected: &[&str]| {
        let found = match Config::parse(text, none()) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{text}");
    };
    let required = "signature.mode = \"required\"";
    let ours = "subscriber_ids = [\"buyer.example\"]";
    check(
        required,
        &[
            "config.toml:1: subscriber_ids: expected at least one id beside signature.mode \
             (\"required\"), found []",
            "config.toml:1: registry.url: expected a URL, or signature.pinned_keys or \
             signature.pinned_keys_file, beside signature.mode (\"required\"), found \"\"",
        ],
    );
    check(&format!("{required}\n{ours}\nsignature.pinned_keys = [\"{PINNED}\"]"), &[]);
    check(&format!("{required}\n{ours}\nregistry.url = \"https://registry.example/lookup\""), &[]);
    check(
        "registry.url = \"https://registry.example/lookup\"\nregistry.api = \"ondc_v2\"",
        &["config.toml:2: registry.key_id: expected our own key, and registry.private_key or \
           registry.private_key_file, beside registry.api (\"ondc_v2\"), found \"\""],
    );
}

#[test]
fn a_private_key_is_never_shown() {
    let text = format!("registry.private_key = \"{PRIVATE}\"\nregistry.private_key_file = \"a\"");
    let message = Config::parse(&text, none()).unwrap_err().to_string();
    assert!(message.contains("registry.private_key (not shown)"), "{message}");
    let shown = format!("{:?}", Config::parse(&text[..text.find('\n').unwrap()], none()).unwrap());
    let wrong = Config::parse("registry.private_key = \"secret\"", none()).unwrap_err().to_string();
    for text in [message, shown, wrong] {
        assert!(!text.contains("lP3sHA") && !text.contains("secret"), "{text}");
    }
}

#[test]
fn a_key_in_the_wrong_place_is_not_repeated() {
    for setting in [
        "registry.private_key_file",
        "registry.key_id",
        "registry.url",
        "signature.pinned_keys_file",
        "http.listen",
    ] {
        let error = Config::parse(&format!("{setting} = \"{PRIVATE}\""), none()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains(setting) && message.contains("(not shown)"), "{message}");
        assert!(!message.contains("lP3sHA"), "{message}");
    }
    let text = format!("signature.pinned_keys = [\"seller.example|key-1|{PRIVATE}\"]");
    let message = Config::parse(&text, none()).unwrap_err().to_string();
    assert!(!message.contains("lP3sHA"), "{message}");
    let url = "registry.url = \"https://user:hush@registry.example/lookup\"";
    let message = Config::parse(url, none()).unwrap_err().to_string();
    assert!(message.contains("registry.url") && !message.contains("hush"), "{message}");
}

#[test]
fn a_signature_is_not_valid_for_longer_than_duplicates_are_remembered() {
    let message = Config::parse("signature.max_age_hours = 169", none()).unwrap_err().to_string();
    assert!(message.contains("inbox.duplicate_window_days (7)"), "{message}");
    assert!(Config::parse("signature.max_age_hours = 168", none()).is_ok());
}

#[test]
fn required_signatures_are_for_us() {
    let text = format!(
        "subscriber_ids = [\"buyer.example\"]\nsignature.mode = \"required\"\n\
         signature.pinned_keys = [\"{PINNED}\"]\n"
    );
    for (level, fits) in [("off", false), ("warn", false), ("enforce", true)] {
        let text = format!("{text}[rules.levels]\n\"context.bap_id\" = \"{level}\"");
        assert_eq!(Config::parse(&text, none()).is_ok(), fits, "{level}");
    }
}

#[test]
fn a_pinned_key_that_is_none_is_told_with_its_line() {
    let text = format!("[signature]\npinned_keys = [\n  \"{PINNED}\",\n  \"seller.example\",\n]");
    let message = Config::parse(&text, none()).unwrap_err().to_string();
    assert_eq!(
        message,
        "config.toml:4: signature.pinned_keys: expected `subscriber id|unique key id|public key`, \
         the key being 32 bytes in base64, found \"seller.example\""
    );
}
