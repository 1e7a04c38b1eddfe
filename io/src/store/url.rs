//! URLs among paths: what is one, and what of it may be shown.
//!
//! Invariant: what [`shown`] returns holds neither user names, passwords nor queries. Called by [`crate::open`], the
//! remote store and the facade.

use std::path::Path;

/// `path` as text, if it is a URL: a scheme, `://` and more.
///
/// ```
/// use blockwise_io::store::url::url_of;
/// assert_eq!(url_of("s3://bucket/a.zarr".as_ref()), Some("s3://bucket/a.zarr"));
/// assert_eq!(url_of("a.zarr".as_ref()), None);
/// assert_eq!(url_of("./s3://bucket".as_ref()), None);
/// ```
#[must_use]
pub fn url_of(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    let (scheme, _) = text.split_once("://")?;
    let starts_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let goes_on = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (starts_well && goes_on).then_some(text)
}

/// `url` without what may be secret in it: user, password, query and fragment.
#[must_use]
pub fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    path.map_or_else(|| format!("{scheme}://{host}"), |path| format!("{scheme}://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        assert_eq!(shown("https://me:pw@host:80/a@b.zarr?sig=x#y"), "https://host:80/a@b.zarr");
        assert_eq!(shown("http://me@host"), "http://host");
        assert_eq!(shown("s3://bucket/a b/"), "s3://bucket/a b/");
    }
}
