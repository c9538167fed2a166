//! What is disturbed: every operation that changes what is stored.

use std::sync::Arc;

use array_format::*;
use array_format_testkit::model::ModelState;

use crate::work::{NAME, Work, prepared};

/// An operation that is disturbed. A new one needs an arm of [`prepare`](Self::prepare) and one of [`run`](Subject::run).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Operation {
    Create,
    Overwrite,
    FirstFlush,
    ThirdFlush,
    /// A worker writes ahead, a committer joins and commits.
    DetachedCommit,
    Compaction {
        keep_versions: bool,
    },
    IncrementalCompaction,
    Collection,
    Tag,
}

impl Operation {
    pub(crate) const ALL: [Self; 10] = [
        Self::Create,
        Self::Overwrite,
        Self::FirstFlush,
        Self::ThirdFlush,
        Self::DetachedCommit,
        Self::Compaction { keep_versions: false },
        Self::Compaction { keep_versions: true },
        Self::IncrementalCompaction,
        Self::Collection,
        Self::Tag,
    ];

    /// Stores what the operation begins with, undisturbed.
    pub(crate) async fn prepare(self, storage: &Arc<dyn Storage>) -> Before {
        let stages = match self {
            Self::Create => return Before { version: 0, state: None },
            Self::FirstFlush => 0,
            Self::ThirdFlush | Self::DetachedCommit | Self::Compaction { .. } | Self::Tag => 2,
            Self::Overwrite | Self::IncrementalCompaction => 3,
            Self::Collection => {
                let mut work = prepared(storage, 2).await;
                work.file.compact_with(CompactOptions::default().keep_versions(true)).await.unwrap();
                return Before { version: work.file.version(), state: Some(work.state) };
            }
        };
        let work = prepared(storage, stages).await;
        Before { version: work.file.version(), state: Some(work.state) }
    }

    /// Whether a new file is what comes of it.
    fn is_new_file(self) -> bool {
        matches!(self, Self::Create | Self::Overwrite)
    }

    /// Whether it commits what is pending.
    fn is_flush(self) -> bool {
        matches!(self, Self::FirstFlush | Self::ThirdFlush | Self::DetachedCommit)
    }

    /// What is stored afterwards. Whatever else was pending still is.
    fn after(self, subject: &Subject) -> ModelState {
        match (&subject.work, &subject.before.state) {
            _ if self.is_new_file() => ModelState::default(),
            (Some(work), _) if self.is_flush() => work.state.clone(),
            (_, state) => state.clone().unwrap_or_default(),
        }
    }
}

/// What is stored before the operation; without state there is no file.
#[derive(Debug, Clone)]
pub(crate) struct Before {
    version: u64,
    pub(crate) state: Option<ModelState>,
}

/// An operation that is about to be run on a storage.
pub(crate) struct Subject {
    pub(crate) operation: Operation,
    pub(crate) before: Before,
    storage: Arc<dyn Storage>,
    /// The handle, with changes pending; none when the file is yet to be created.
    pub(crate) work: Option<Work>,
    /// Of the worker, until it is joined.
    receipt: Option<Receipt>,
    is_detached: bool,
}

impl Subject {
    /// Opens the file, undisturbed.
    pub(crate) async fn new(operation: Operation, before: &Before, storage: Arc<dyn Storage>) -> Self {
        let mut work = None;
        if let (false, Some(state)) = (operation.is_new_file(), &before.state) {
            let file = ArrayFile::open(&storage, NAME, FileConfig::default()).await.unwrap();
            let mut opened = Work { file, state: state.clone() };
            let stage = match operation {
                Operation::FirstFlush => 0,
                Operation::DetachedCommit => 3,
                Operation::IncrementalCompaction => 4,
                _ => 2,
            };
            opened.stage(stage).await;
            work = Some(opened);
        }
        Self { operation, before: before.clone(), storage, work, receipt: None, is_detached: false }
    }

    pub(crate) async fn run(&mut self) -> Result<()> {
        let Some(Work { file, .. }) = &mut self.work else {
            let config = FileConfig::default().with_overwrite(self.operation == Operation::Overwrite);
            return ArrayFile::create(&self.storage, NAME, config).await.map(drop);
        };
        match self.operation {
            Operation::Create | Operation::Overwrite => Ok(()),
            Operation::FirstFlush | Operation::ThirdFlush => file.flush().await.map(drop),
            Operation::Compaction { keep_versions } => {
                let options = CompactOptions::default().keep_versions(keep_versions);
                file.compact_with(options).await.map(drop)
            }
            Operation::IncrementalCompaction => {
                file.compact_with(CompactOptions::default().incremental(true)).await.map(drop)
            }
            Operation::Collection => file.garbage_collect(GcOptions::default()).await.map(drop),
            Operation::Tag => file.tag("a name", 1).await,
            Operation::DetachedCommit => {
                if !self.is_detached {
                    self.receipt = Some(file.detach().await?);
                    self.is_detached = true;
                }
                if let Some(receipt) = &self.receipt {
                    file.join(std::slice::from_ref(receipt)).await?;
                    self.receipt = None;
                }
                file.flush().await.map(drop)
            }
        }
    }

    /// The state that `found` must hold, whether the operation happened or not.
    pub(crate) fn expected(&self, found: &ArrayFile, acknowledged: bool, what: &str) -> ModelState {
        let happened = match self.operation {
            operation if operation.is_new_file() => found.version() == 0,
            operation if operation.is_flush() => found.version() == self.before.version + 1,
            // Its content is the same.
            _ => true,
        };
        assert!(happened || !acknowledged, "{what}: acknowledged and lost");
        if happened {
            return self.operation.after(self);
        }
        assert_eq!(found.version(), self.before.version, "{what}");
        self.before.state.clone().unwrap_or_default()
    }
}
