//! What happens to the whole file.

use std::sync::Arc;

use super::Step;
use crate::actor::{Fault, Phase, Why};
use crate::history::{History, Version};
use crate::model::empty;
use crate::store::Name;

impl Step<'_> {
    pub(super) fn file_base(&mut self) {
        match self.state.store.base.as_ref().map(|b| b.id) {
            Some(id) => self.go(Phase::FileReplace(id)),
            None => self.fail(),
        }
    }

    /// Replaces the base by a new file, if it is still the one that was read.
    pub(super) fn file_replace(&mut self, expected: u8) {
        if self.state.store.base.as_ref().map(|b| b.id) != Some(expected) {
            return self.fail();
        }
        self.new_file();
        let open = self.open(Why::Tail);
        self.go(open);
    }

    pub(super) fn file_create(&mut self) {
        if self.state.store.base.is_some() {
            return self.fail();
        }
        self.new_file();
        let open = self.open(Why::Tail);
        self.go(open);
    }

    fn new_file(&mut self) {
        let (file, id) = (2 + self.who as u8, self.new_id());
        let root = Arc::new(empty(file, id));
        let first = Version { root: Arc::clone(&root), by: (u8::MAX, 0) };
        self.state.histories.insert(file, History { versions: vec![first], acknowledged: 0 });
        self.state.store.base = Some(root);
        self.state.current = file;
    }

    pub(super) fn file_delete(&mut self) {
        self.state.store.base = None;
        self.finish();
    }

    /// Somebody else deletes a layer of the file.
    pub(super) fn file_lose(&mut self, number: u8) {
        let file = self.state.store.base.as_ref().map_or(0, |b| b.file);
        let name = Name::Layer(self.named(file), number);
        self.state.lost |= self.state.store.sidecars.remove(&name).is_some();
        self.fault = Fault::None;
        self.finish();
    }
}
