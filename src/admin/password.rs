//! A password against the app's own hash: scrypt as better-auth stores it.

use scrypt::Params;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use unicode_normalization::UnicodeNormalization;

use crate::failure::Failure;

/// The password of the account that the app makes at its first start: it stands in the app's public
/// source.
pub const SEED: &str = "Admin2024!";

/// N=16384: a base-2 logarithm here.
const LOG_N: u8 = 14;
const BLOCK_SIZE: u32 = 16;
const PARALLELISM: u32 = 1;
const KEY_BYTES: usize = 64;
const SALT_DIGITS: usize = 32;

/// What a hash says of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password.
    Right,
    /// It is another.
    Wrong,
    /// The hash is not of the form that the app writes: nothing can be said.
    UnknownFormat,
}

/// Whether `password` is the one that `stored` was made of.
///
/// `stored` is `account.password`: 32 hex digits, a colon, 128 hex digits. Takes the time of one
/// scrypt (32 MB) whatever it finds, unless the form is unknown.
pub fn judge(password: &SecretString, stored: &str) -> Result<Verdict, Failure> {
    let Some((salt, key)) = read(stored) else { return Ok(Verdict::UnknownFormat) };
    let made = derive(password, salt)?;
    Ok(if bool::from(made.ct_eq(key.as_slice())) { Verdict::Right } else { Verdict::Wrong })
}

/// As long as [`judge`] takes, for a user who does not exist: the time tells nothing.
pub fn judge_nobody(password: &SecretString) -> Result<(), Failure> {
    let made = derive(password, "00000000000000000000000000000000")?;
    // Compared as a real one is, so that the optimiser leaves the work in place.
    std::hint::black_box(bool::from(made.ct_eq([0; KEY_BYTES].as_slice())));
    Ok(())
}

/// Whether what was typed is the app's seed password, as the hash takes it.
pub fn is_seed(password: &SecretString) -> bool {
    password.expose_secret().nfkc().eq(SEED.chars())
}

/// Whether `stored` is of the form that can be judged.
pub fn is_known_format(stored: &str) -> bool {
    read(stored).is_some()
}

/// Salt as it stands there, key as bytes.
fn read(stored: &str) -> Option<(&str, Vec<u8>)> {
    let (salt, key) = stored.split_once(':')?;
    let salted = salt.len() == SALT_DIGITS && salt.bytes().all(|b| b.is_ascii_hexdigit());
    let key = hex::decode(key).ok().filter(|key| key.len() == KEY_BYTES)?;
    salted.then_some((salt, key))
}

/// The salt is the text of the hex digits, not the bytes they stand for.
fn derive(password: &SecretString, salt: &str) -> Result<Zeroizing<[u8; KEY_BYTES]>, Failure> {
    let failed = || Failure::unexpected("cannot compute the password's hash");
    let typed: Zeroizing<String> = Zeroizing::new(password.expose_secret().nfkc().collect());
    let params = Params::new(LOG_N, BLOCK_SIZE, PARALLELISM).map_err(|e| failed().because(e))?;
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    scrypt::scrypt(typed.as_bytes(), salt.as_bytes(), &params, key.as_mut_slice())
        .map_err(|e| failed().because(e))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// facts.md's vector, of the password `password`.
    const VECTOR: &str = "000102030405060708090a0b0c0d0e0f:3e0919938b5e2b36382eb5a81c23ab15482d02c6a9e295451ff69530660a61b2ca15c113ee385e40a1a76b9345e7d3d519fe53b60d2786758802d888ceb009d1";

    fn verdict(password: &str, stored: &str) -> Verdict {
        judge(&SecretString::from(password), stored).unwrap()
    }

    /// Email, password, hash: what a running app stored.
    fn samples() -> Vec<(String, String, String)> {
        let text = include_str!("../../tests/fixtures/password-hashes.json");
        let rows: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        let word = |row: &serde_json::Value, key: &str| row[key].as_str().unwrap().to_owned();
        rows.iter().map(|r| (word(r, "email"), word(r, "password"), word(r, "hash"))).collect()
    }

    #[test]
    fn the_vector_is_right_and_its_neighbours_are_wrong() {
        assert_eq!(verdict("password", VECTOR), Verdict::Right);
        for other in ["Password", "password ", " password", "passwor", "passwordx", ""] {
            assert_eq!(verdict(other, VECTOR), Verdict::Wrong, "{other:?}");
        }
    }

    #[test]
    fn hashes_of_a_running_app_are_accepted_each_for_its_own_password() {
        let samples = samples();
        assert_eq!(samples.len(), 3);
        for (email, password, _) in &samples {
            for (owner, _, hash) in &samples {
                let wanted = if owner == email { Verdict::Right } else { Verdict::Wrong };
                assert_eq!(verdict(password, hash), wanted, "{email} at {owner}");
            }
        }
    }

    #[test]
    fn an_umlaut_typed_in_two_parts_is_the_same() {
        let (_, password, hash) =
            samples().into_iter().find(|(email, ..)| email.contains("umlaut")).unwrap();
        let typed: String = password.nfd().collect();
        assert_ne!(typed, password);
        assert_eq!(verdict(&typed, &hash), Verdict::Right);
        // Without its dots it is another.
        assert_eq!(verdict(&password.replace('ö', "o"), &hash), Verdict::Wrong);
    }

    #[test]
    fn the_seed_password_is_known_in_any_letters_that_open_the_account() {
        for (typed, is_seed) in [(SEED, true), ("\u{ff21}dmin2024!", true), ("admin2024!", false)] {
            assert_eq!(super::is_seed(&SecretString::from(typed)), is_seed, "{typed}");
        }
    }

    #[test]
    fn empty_and_very_long_ones_are_judged_as_others() {
        for password in [String::new(), "x".repeat(10_000), "ä".repeat(10_000)] {
            let salt = "a0".repeat(16);
            let key = derive(&SecretString::from(password.as_str()), &salt).unwrap();
            let stored = format!("{salt}:{}", hex::encode(key.as_slice()));
            assert_eq!(verdict(&password, &stored), Verdict::Right);
            assert_eq!(verdict(&format!("{password}x"), &stored), Verdict::Wrong);
            assert_eq!(verdict(&password, VECTOR), Verdict::Wrong);
        }
    }

    #[test]
    fn digits_may_be_capitals_in_the_key_and_are_other_salt_in_the_salt() {
        let (salt, key) = VECTOR.split_once(':').unwrap();
        let capital = format!("{salt}:{}", key.to_uppercase());
        assert_eq!(verdict("password", &capital), Verdict::Right);
        let capital = format!("{}:{key}", salt.to_uppercase());
        assert_eq!(verdict("password", &capital), Verdict::Wrong);
    }

    #[test]
    fn other_forms_are_named_as_such() {
        let (salt, key) = VECTOR.split_once(':').unwrap();
        for stored in [
            "",
            ":",
            salt,
            &format!("{salt}:"),
            &format!(":{key}"),
            &format!("{salt}:{key}:"),
            &format!("{salt}:{key}0"),
            &format!("{salt}:{key}00"),
            &format!("{salt}:{}", &key[2..]),
            &format!("{}:{key}", &salt[2..]),
            &format!("{salt}0:{key}"),
            &format!("{salt}: {}", &key[1..]),
            &format!("z{}:{key}", &salt[1..]),
            &format!("{salt}:z{}", &key[1..]),
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
            "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA",
            "password",
        ] {
            assert_eq!(verdict("password", stored), Verdict::UnknownFormat, "{stored:?}");
            assert!(!is_known_format(stored), "{stored:?}");
        }
        assert!(is_known_format(VECTOR));
    }

    /// Nothing like the time of a run without it, however busy the machine is.
    #[test]
    fn nobody_takes_as_long_as_somebody() {
        let password = SecretString::from("correct horse");
        let (mut somebody, mut nobody) = (Duration::MAX, Duration::MAX);
        for _ in 0..5 {
            let began = Instant::now();
            assert_eq!(judge(&password, VECTOR).unwrap(), Verdict::Wrong);
            somebody = somebody.min(began.elapsed());
            let began = Instant::now();
            judge_nobody(&password).unwrap();
            nobody = nobody.min(began.elapsed());
        }
        assert!(nobody > somebody / 4 && nobody < somebody * 4, "{nobody:?} for {somebody:?}");
    }
}
