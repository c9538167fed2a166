//! Uploads in parts that somebody began and nobody ended: the `object_store` crate begins and ends them, and lists none. S3 keeps their parts,
//! and bills them, until they are ended.

use std::sync::Arc;
use std::time::Duration;

use ::object_store::aws::AmazonS3;
use ::object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};
use ::object_store::multipart::MultipartStore;
use ::object_store::path::Path;
use ::object_store::signer::{Method, SignedUrlOptions, Signer};
use ::object_store::{ClientOptions, Error, Result};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::storage::object_store::{Begun, Unfinished};

/// How long the request may be used that is signed and sent at once.
const VALID: Duration = Duration::from_secs(300);

#[derive(Debug)]
pub(super) struct S3Uploads {
    store: Arc<AmazonS3>,
    client: HttpClient,
}

/// `ListMultipartUploads`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    #[serde(default)]
    upload: Vec<Upload>,
    #[serde(default)]
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
    initiated: DateTime<Utc>,
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "S3", source: source.into() }
}

impl S3Uploads {
    pub(super) fn new(store: Arc<AmazonS3>, options: &ClientOptions) -> Result<Self> {
        Ok(Self { store, client: ReqwestConnector::default().connect(options)? })
    }

    async fn page(&self, query: Vec<(String, String)>) -> Result<Listing> {
        let options = SignedUrlOptions::default().with_query(query);
        let url = self.store.signed_url_opts(Method::GET, &Path::default(), VALID, &options).await?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().map_err(failed)?;
        let answer = self.client.execute(request).await.map_err(failed)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(failed)?;
        let text = std::str::from_utf8(&body).map_err(failed)?;
        if !status.is_success() {
            return Err(failed(format!("{status}: {text}")));
        }
        quick_xml::de::from_str(text).map_err(failed)
    }
}

#[async_trait]
impl Unfinished for S3Uploads {
    async fn list(&self, prefix: &str) -> Result<Vec<Begun>> {
        let mut found = Vec::new();
        let mut after: Option<(String, String)> = None;
        loop {
            let mut query =
                vec![("uploads".to_owned(), String::new()), ("prefix".to_owned(), prefix.to_owned())];
            if let Some((key, id)) = after {
                query.extend([("key-marker".to_owned(), key), ("upload-id-marker".to_owned(), id)]);
            }
            let page = self.page(query).await?;
            found.extend(page.upload.into_iter().map(|u| Begun {
                key: u.key,
                id: u.upload_id,
                begun_ms: u.initiated.timestamp_millis(),
            }));
            after = page.next_key_marker.zip(page.next_upload_id_marker);
            if !page.is_truncated || after.is_none() {
                return Ok(found);
            }
        }
    }

    async fn abort(&self, upload: &Begun) -> Result<()> {
        self.store.abort_multipart(&Path::parse(&upload.key)?, &upload.id).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_s3_answers() {
        let text = "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>b</Bucket>\
            <KeyMarker/><NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>i</NextUploadIdMarker><IsTruncated>true</IsTruncated>\
            <Upload><Key>a/run.af.layers/x.blocks</Key><UploadId>1</UploadId><Initiator><ID>me</ID></Initiator>\
            <Initiated>2010-11-10T20:48:33.000Z</Initiated></Upload>\
            <Upload><Key>a &amp; b</Key><UploadId>2</UploadId><Initiated>2010-11-10T20:48:34Z</Initiated></Upload></ListMultipartUploadsResult>";
        let listing: Listing = quick_xml::de::from_str(text).unwrap();
        assert_eq!(listing.upload[1].key, "a & b");
        assert_eq!(listing.upload[0].initiated.timestamp_millis(), 1_289_422_113_000);
        assert!(listing.is_truncated && listing.next_key_marker.as_deref() == Some("k"));
        let none: Listing = quick_xml::de::from_str(
            "<ListMultipartUploadsResult><Bucket>b</Bucket></ListMultipartUploadsResult>",
        )
        .unwrap();
        assert!(none.upload.is_empty() && !none.is_truncated);
    }
}
