//! The cookie of an admin who is logged in to the application.

use secrecy::{ExposeSecret, SecretString};

use crate::failure::Failure;

/// The name of better-auth's cookie; over HTTPS it begins with `__Secure-`.
const NAME: &str = "better-auth.session_token";

/// The value of a Cookie header; it is never shown.
#[derive(Debug, Clone)]
pub struct Cookie(SecretString);

impl Cookie {
    /// Reads what a file holds: the header's value, with `Cookie:` before it or without.
    ///
    /// # Errors
    /// Usage (exit 2): it is no header's value.
    pub fn of(text: &str) -> Result<Self, Failure> {
        let text = text.trim();
        let value = match text.get(..7) {
            Some(name) if name.eq_ignore_ascii_case("cookie:") => text[7..].trim(),
            _ => text,
        };
        if value.is_empty() {
            return Err(unusable("there is nothing in it"));
        }
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(unusable("it is not one line of printable ASCII"));
        }
        Ok(Self(value.into()))
    }

    /// The header's value.
    pub(super) fn header(&self) -> &str {
        self.0.expose_secret()
    }

    /// The session's token as `public.session` has it: what stands before the signature.
    pub(super) fn session(&self) -> Option<SecretString> {
        let mut pairs = self.header().split(';').filter_map(|pair| pair.trim().split_once('='));
        let value = pairs.find_map(|(name, value)| {
            let name = name.strip_prefix("__Secure-").unwrap_or(name);
            (name == NAME).then_some(value)
        })?;
        let value = decoded(value.trim_matches('"'))?;
        let (token, _signature) = value.rsplit_once('.')?;
        (!token.is_empty()).then(|| token.into())
    }
}

fn unusable(why: &str) -> Failure {
    Failure::usage("--app-cookie-file holds no cookie").because(why).hint(
        "it holds what a browser sends after \"Cookie: \", for example: better-auth.session_token=...; \
         the developer tools show it, under Network",
    )
}

/// Percent-decoded; none where that leaves no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = (first == b'%').then(|| text_of(after.get(..2)?)).flatten();
        match hex {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

fn text_of(hex: &[u8]) -> Option<u8> {
    let digits =
        std::str::from_utf8(hex).ok().filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(text: &str) -> Option<String> {
        Cookie::of(text).unwrap().session().map(|token| token.expose_secret().to_owned())
    }

    #[test]
    fn the_session_stands_before_the_signature() {
        for text in [
            "better-auth.session_token=abc.c2ln%2Bbw%3D%3D",
            "Cookie: a=b; __Secure-better-auth.session_token=abc.c2ln%2Bbw%3D%3D; c=d\n",
            "cookie:better-auth.session_token=\"abc.x\"",
            "better-auth.session_token=%61bc.x",
        ] {
            assert_eq!(session(text).as_deref(), Some("abc"), "{text}");
        }
        for text in
            ["other=abc.x", "better-auth.session_token=abc", "better-auth.session_token=%zz", "x"]
        {
            assert_eq!(session(text), None, "{text}");
        }
        assert_eq!(session("better-auth.session_token=a%00.x"), None);
    }

    #[test]
    fn what_is_no_header_is_refused_and_not_repeated() {
        for text in ["", " \n", "Cookie: ", "secret=1\nX-Forged: 1", "secret=é"] {
            let failure = Cookie::of(text).unwrap_err();
            assert_eq!(failure.kind.exit_code(), 2);
            assert!(!format!("{failure:?}").contains("secret="), "{failure:?}");
        }
    }

    #[test]
    fn it_cannot_be_printed() {
        assert!(!format!("{:?}", Cookie::of("a=secret").unwrap()).contains("a=secret"));
    }
}
