//! A handle, what it should show, and changes to make.

use std::sync::Arc;

use array_format::*;
use array_format_testkit::model::{Change, Item, Kind, ModelArray, ModelNode, ModelState, check_snapshot};

pub(crate) const NAME: &str = "run.af";

/// A handle and what it should show.
pub(crate) struct Work {
    pub(crate) file: ArrayFile,
    pub(crate) state: ModelState,
}

impl Work {
    pub(crate) async fn define(&mut self, path: &str, kind: Kind, shape: &[u64], chunk: Option<&[u64]>) {
        let mut definition = kind.definition(shape, None);
        if let Some(chunk) = chunk {
            definition = definition.chunk_shape(chunk.to_vec());
        }
        self.file.define(path, definition).unwrap();
        let array = ModelArray::new(kind, shape.to_vec(), chunk.map(<[u64]>::to_vec), kind.zero());
        assert!(self.state.apply(&Change::Put(path.into(), ModelNode::new(Some(array)))));
    }

    pub(crate) async fn write(&mut self, path: &str, start: &[u64], shape: &[u64], seed: u64) {
        let kind = self.state.array(path).unwrap().kind;
        let n = shape.iter().product::<u64>();
        let items: Vec<Item> =
            (0..n).map(|i| kind.item((i + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
        kind.write(&mut self.file, path, start.to_vec(), shape, &items).await.unwrap();
        let (path, start, shape) = (path.into(), start.to_vec(), shape.to_vec());
        assert!(self.state.apply(&Change::Write { path, start, shape, items }));
    }

    pub(crate) async fn attribute(&mut self, path: &str, value: i32) {
        self.file.set_attribute(path, "k0", value).await.unwrap();
        assert!(self.state.apply(&Change::Attribute(path.into(), "k0".into(), Some(value.into()))));
    }

    pub(crate) async fn rename(&mut self, from: &str, to: &str) {
        self.file.rename(from, to).await.unwrap();
        assert!(self.state.apply(&Change::Move(vec![(from.into(), to.into())])));
    }

    pub(crate) async fn delete(&mut self, path: &str) {
        self.file.delete(path).await.unwrap();
        assert!(self.state.apply(&Change::Delete(vec![path.into()])));
    }

    pub(crate) async fn resize(&mut self, path: &str, shape: &[u64]) {
        self.file.resize(path, shape.to_vec()).await.unwrap();
        assert!(self.state.apply(&Change::Resize(path.into(), shape.to_vec())));
    }

    /// The changes of the first, second and third commit, and what is changed after one that failed.
    pub(crate) async fn stage(&mut self, number: usize) {
        match number {
            0 => {
                self.define("g/x", Kind::I32, &[6, 4], Some(&[2, 3])).await;
                self.write("g/x", &[0, 0], &[6, 4], 1).await;
                self.define("one", Kind::F64, &[5], None).await;
                self.write("one", &[1], &[3], 2).await;
                self.define("text", Kind::MaybeText, &[3], None).await;
                self.attribute("g/x", 1).await;
                self.attribute("", 2).await;
                self.define("more/a", Kind::MaybeI16, &[4], None).await;
                self.write("more/a", &[0], &[4], 3).await;
            }
            1 => {
                self.write("g/x", &[1, 1], &[3, 2], 4).await;
                self.resize("g/x", &[5, 7]).await;
                self.write("text", &[0], &[3], 5).await;
                self.attribute("g", 3).await;
            }
            2 => {
                self.write("one", &[0], &[2], 6).await;
                self.rename("g/x", "h/x").await;
                self.delete("text").await;
                self.define("text", Kind::I32, &[2], None).await;
                self.write("text", &[0], &[1], 7).await;
                self.write("h/x", &[0, 0], &[1, 1], 8).await;
                self.define("later", Kind::I32, &[9], Some(&[4])).await;
                self.write("later", &[0], &[9], 9).await;
            }
            // What a worker can write ahead.
            3 => {
                self.write("one", &[0], &[2], 6).await;
                self.write("g/x", &[0, 3], &[2, 3], 7).await;
                self.define("later", Kind::MaybeText, &[3], None).await;
                self.write("later", &[0], &[3], 9).await;
                self.attribute("later", 4).await;
                self.attribute("g", 5).await;
            }
            4 => {
                self.write("one", &[1], &[2], 3).await;
                self.attribute("h/x", 4).await;
            }
            _ => {
                // Arrays that the commit before changed, deleted, renamed and left alone.
                self.attribute("one", 9).await;
                self.attribute("more/a", 9).await;
                match self.state.array("h/x") {
                    Some(_) => {
                        self.rename("h/x", "g/x").await;
                        self.rename("later", "h/x").await;
                        self.delete("text").await;
                    }
                    None => {
                        self.rename("g/x", "h/x").await;
                        self.define("g/x", Kind::I32, &[1], None).await;
                        self.delete("text").await;
                        self.define("text", Kind::F64, &[3], Some(&[1])).await;
                    }
                }
            }
        }
    }
}

pub(crate) async fn prepared(storage: &Arc<dyn Storage>, stages: usize) -> Work {
    let file = ArrayFile::create(storage, NAME, FileConfig::default()).await.unwrap();
    let mut work = Work { file, state: ModelState::default() };
    for stage in 0..stages {
        work.stage(stage).await;
        work.file.flush().await.unwrap();
    }
    work
}

/// What a process that comes later finds.
pub(crate) async fn fresh(storage: &Arc<dyn Storage>, what: &str) -> ArrayFile {
    let file = ArrayFile::open(storage, NAME, FileConfig::default()).await;
    let file = file.unwrap_or_else(|e| panic!("{what}: {e}"));
    let report = file.verify(VerifyOptions::default().statistics(true)).await;
    let report = report.unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(report.is_clean(), "{what}: {:?}", report.damage);
    file
}

pub(crate) async fn shows(file: &ArrayFile, state: &ModelState, what: &str) {
    check_snapshot(&file.snapshot(), state, what).await;
}
