//! What servers' failures mean: absence, damage or trouble.
//!
//! Invariants: only a status of 404 or 410 for the object itself is absence; no text holds a URL, which may hold
//! secrets, or more than a line of what a server sent. Called by the remote store.

use crate::error::Error;
use std::error::Error as StdError;

/// Characters of a cause that are shown.
const SHOWN_CHARS: usize = 200;

/// Why a request did not bring what was asked for.
pub(super) enum Failure {
    /// The server or the way to it.
    Server(object_store::Error),
    /// The object is larger than is allowed.
    TooLong(u64),
    /// More or fewer bytes came than were announced, or the object ends before the range does.
    Length { expected: u64, found: u64 },
    /// The server sends the object in an encoding of its own.
    Encoding(String),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Server(error)
    }
}

impl Failure {
    /// The error that says so of the object at `url`; `None` if the object is positively absent.
    pub(super) fn into_error(self, url: String, limit_bytes: u64) -> Option<Error> {
        let error = match self {
            Self::TooLong(len_bytes) => {
                let size = format!("{len_bytes} bytes");
                return Some(Error::Limit { path: url, what: "object", size, limit: limit_bytes });
            }
            Self::Length { expected, found } => {
                let what = format!("the object ends early: {found} of {expected} bytes came");
                return Some(Error::Corrupt { path: url, what, remedy: "" });
            }
            Self::Encoding(encoding) => {
                let what = format!("an object that the server sends as '{encoding}'");
                return Some(Error::Unsupported { path: url, what, remedy: "; store it as it is" });
            }
            Self::Server(error) => error,
        };
        let status = status(&error);
        let why = root_cause(&error);
        match status {
            // S3 also answers 404 where there is no such bucket.
            Some(404 | 410) if !why.contains("NoSuchBucket") => None,
            Some(416) => {
                let what = "the object ends before the part that was asked for".to_owned();
                Some(Error::Corrupt { path: url, what, remedy: "" })
            }
            _ if matches!(error, object_store::Error::NotSupported { .. }) => {
                let what = "reading parts of objects from a server that knows no ranges".to_owned();
                Some(Error::Unsupported { path: url, what, remedy: "" })
            }
            _ => Some(Error::Remote { url, why, remedy: remedy(status) }),
        }
    }
}

fn remedy(status: Option<u16>) -> &'static str {
    match status {
        Some(401 | 403) => {
            "; S3 reads its keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SKIP_SIGNATURE=true for public data), and says 403 for what is missing to those who may not list"
        }
        _ => "",
    }
}

/// The innermost error of a chain.
fn innermost<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

/// The HTTP status that a failure is about. The client's error type is private to it, its text is not.
fn status(error: &object_store::Error) -> Option<u16> {
    let text = innermost(error).to_string();
    let (_, after) = text.split_once("status code: ")?;
    after.get(..3)?.parse().ok()
}

/// The first line of the innermost error's text, clipped. Outer ones repeat it around the URL.
pub(super) fn root_cause(error: &object_store::Error) -> String {
    let text = innermost(error).to_string();
    let text = text.replace("Server returned non-2xx status code:", "the server answered");
    // S3's bodies are XML and name the key that signed: of them the code alone.
    let text = match (text.split_once("<?xml"), text.split_once("<Code>")) {
        (Some((before, _)), Some((_, after))) | (None, Some((before, after))) => {
            format!("{before}{}", after.split('<').next().unwrap_or_default())
        }
        (Some((before, _)), None) => before.to_owned(),
        (None, None) => text,
    };
    let line = text.lines().next().unwrap_or_default();
    line.chars()
        .filter(|c| !c.is_control())
        .take(SHOWN_CHARS)
        .collect::<String>()
        .trim_end_matches([' ', ':'])
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> Failure {
        Failure::Server(object_store::Error::Generic { store: "S3", source: text.to_owned().into() })
    }

    #[test]
    fn only_absence_is_none() {
        let error = |text: &str| server(text).into_error("u".to_owned(), 0);
        assert!(error("Server returned non-2xx status code: 404 Not Found: x").is_none());
        assert!(error("Server returned non-2xx status code: 410 Gone").is_none());
        for text in [
            "Server returned non-2xx status code: 405 Method Not Allowed",
            "Server returned non-2xx status code: 404 Not Found: <?xml?><Error><Code>NoSuchBucket</Code></Error>",
            "connection reset: 404",
        ] {
            assert!(matches!(error(text), Some(Error::Remote { .. })), "{text}");
        }
        let range = error("Server returned non-2xx status code: 416 Range Not Satisfiable: ");
        assert!(matches!(range, Some(Error::Corrupt { .. })));
    }

    #[test]
    fn bodies_are_not_repeated() {
        let text = "Server returned non-2xx status code: 403 Forbidden: <?xml version=\"1\"?>\n<Error><Code>Denied</Code><Key>AKIA</Key>";
        let Some(error) = server(text).into_error("u".to_owned(), 0) else { panic!("this is no absence") };
        assert!(error.to_string().starts_with("u: the server answered 403 Forbidden: Denied; S3"), "{error}");
    }
}
