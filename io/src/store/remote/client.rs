//! Clients for URLs: which server, which folder on it, how long to wait and how often to try again.
//!
//! Invariants: a client is made only for a URL that holds no secrets; keys of S3 come from the environment alone.
//! Called by the remote store.

use crate::error::{Error, Result};
use crate::store::url::shown;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::http::HttpBuilder;
use object_store::list::PaginatedListStore;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// How long a connection may take to come about.
const CONNECT_SECS: u64 = 10;
/// How long a server may send nothing. There is no limit for a whole request: a large chunk over a slow line may take
/// minutes, and a run can be cancelled.
const SILENCE_SECS: u64 = 60;
/// How often a request is tried again after the first time, and for how long.
const RETRIES: usize = 5;
const RETRY_SECS: u64 = 120;

/// A client and the folder of the server that is the store.
pub(super) struct Client {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// The same client, if it can list.
    pub(super) pages: Option<Arc<dyn PaginatedListStore>>,
    /// Components before every key, without slashes at the ends.
    pub(super) prefix: String,
    /// The URL as errors show it.
    pub(super) label: String,
}

/// The client for `url`.
///
/// # Errors
/// [`Error::Refused`] for URLs that hold secrets, have another scheme than `http`, `https` and `s3`, or are malformed.
pub(super) fn client(url: &str) -> Result<Client> {
    // A provider that the program chose before stays.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let label = shown(url).trim_end_matches('/').to_owned();
    match url.split_once("://") {
        Some(("http" | "https", _)) => http(url, label),
        Some(("s3", rest)) => s3(rest, label),
        _ => Err(refused(&label, "only http://, https:// and s3:// URLs can be opened".to_owned())),
    }
}

fn refused(label: &str, what: String) -> Error {
    Error::Refused { path: label.to_owned(), what }
}

fn http(text: &str, label: String) -> Result<Client> {
    let mut url = Url::parse(text).map_err(|error| refused(&label, format!("this is no URL: {error}")))?;
    if !url.username().is_empty() || url.password().is_some() {
        let what = "a user name or password in a URL would show in process lists and logs, and is not taken";
        return Err(refused(&label, what.to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        let what = "a store has many objects, so its URL can have no ?query or #fragment; leave it out";
        return Err(refused(&label, what.to_owned()));
    }
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty(); // a slash at the end
    }
    let options = ClientOptions::new()
        .with_allow_http(url.scheme() == "http")
        .with_connect_timeout(Duration::from_secs(CONNECT_SECS))
        .with_read_timeout(Duration::from_secs(SILENCE_SECS))
        .with_timeout_disabled();
    let store = HttpBuilder::new().with_url(url).with_client_options(options).with_retry(retries()).build();
    let store = store.map_err(|error| refused(&label, super::failure::root_cause(&error)))?;
    Ok(Client { objects: Arc::new(store), pages: None, prefix: String::new(), label })
}

/// `rest` is what follows `s3://`: the bucket, then the folder, as they are, without percent signs that mean others.
fn s3(rest: &str, label: String) -> Result<Client> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() || bucket.contains(['@', ':', '?', '#']) {
        let what = "name a store in S3 as s3://bucket/folder; keys, region and endpoint are read from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL";
        return Err(refused(&label, what.to_owned()));
    }
    let secs = |secs: u64| format!("{secs} seconds");
    let set = |builder: AmazonS3Builder, key, value: String| {
        builder.with_config(AmazonS3ConfigKey::Client(key), value)
    };
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retries());
    builder = set(builder, ClientConfigKey::ConnectTimeout, secs(CONNECT_SECS));
    builder = set(builder, ClientConfigKey::ReadTimeout, secs(SILENCE_SECS));
    // There is no word for "none" here: a day.
    builder = set(builder, ClientConfigKey::Timeout, secs(24 * 3600));
    let store = builder.build().map_err(|error| refused(&label, super::failure::root_cause(&error)))?;
    let store = Arc::new(store);
    let prefix = prefix.trim_matches('/').to_owned();
    Ok(Client {
        objects: Arc::<object_store::aws::AmazonS3>::clone(&store),
        pages: Some(store),
        prefix,
        label,
    })
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(200),
        max_backoff: Duration::from_secs(5),
        base: 2.0,
    };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: Duration::from_secs(RETRY_SECS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_no_stores_are_refused_without_their_secrets() {
        for url in [
            "http://me:geheim@127.0.0.1/a.zarr",
            "https://host/a.zarr?token=geheim",
            "s3://geheim:geheim@bucket/a",
            "s3:///a",
            "gs://bucket/a",
            "http://[/a",
        ] {
            let Err(error) = client(url) else { panic!("{url} was taken") };
            assert!(matches!(error, Error::Refused { .. }), "{error}");
            assert!(!error.to_string().contains("geheim"), "{error}");
        }
    }

    #[test]
    fn slashes_at_the_end_mean_nothing() {
        let one = client("s3://bucket/a/b.zarr/").unwrap();
        assert_eq!((one.prefix.as_str(), one.label.as_str()), ("a/b.zarr", "s3://bucket/a/b.zarr"));
        assert!(one.pages.is_some());
        assert_eq!(client("https://host/a.zarr/").unwrap().label, "https://host/a.zarr");
    }
}
