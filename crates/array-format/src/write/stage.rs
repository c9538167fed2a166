//! Changes by the user, kept until the next commit: definitions, names, attributes.

use std::sync::Arc;

use array_format_core::format::nodes::{KeySet, Node};
use array_format_core::schema::{GroupSchema, Schema, check_attribute_name, check_dimension, check_path};
use array_format_core::value::Value;
use array_format_core::{Error, ErrorKind, Result};

use super::pending::{Pending, Staged, StagedNode};
use crate::file::ArrayFile;
use crate::read::View;
use crate::read::view::no_such_array;

impl ArrayFile {
    /// Checks that nothing has this path, that no part of it is an array, and that it is no group of others.
    pub(crate) async fn check_free(&self, path: &str) -> Result<()> {
        let view = self.view();
        if view.node(path).await?.is_some() {
            return Err(exists(path));
        }
        check_surroundings(&view, path).await
    }

    /// Makes up for what `define` could not check without waiting.
    async fn check_new(&self, path: &str, hides: bool) -> Result<()> {
        let view = self.view();
        if !hides && view.version.node(path).await?.is_some_and(|row| row.node.is_some()) {
            return Err(exists(path));
        }
        check_surroundings(&view, path).await
    }

    /// Checks every definition that could not be checked yet.
    pub(crate) async fn check_definitions(&self) -> Result<()> {
        let pending = self.view().pending;
        for (path, staged) in &pending.nodes {
            if let Staged::Node(s) = staged
                && !s.checked
            {
                self.check_new(path, s.hides).await.map_err(|e| self.in_file(e.in_array(path)))?;
            }
        }
        Ok(())
    }

    /// Defines a group, so that it is there without anything in it. Arrays need no such call for the groups in their names.
    ///
    /// # Errors
    /// `InvalidArgument` for a bad name or one inside of an array, `AlreadyExists`.
    pub async fn define_group(&mut self, name: &str) -> Result<()> {
        let place = |e: Error| self.in_file(e.in_array(name));
        self.check_writable()?;
        check_path(name).map_err(place)?;
        let _gate = self.inner.gate.write().await;
        match self.check_free(name).await {
            Err(e) if e.kind() == ErrorKind::AlreadyExists && self.view().node(name).await?.is_none() => {}
            other => other.map_err(place)?,
        }
        self.edit(|p| {
            let id = p.new_id();
            insert_new(p, name, empty_group(id), true);
            Ok(())
        })
    }

    /// Declares a dimension of a group (`""` is the file), as netCDF does: its length, and whether it may grow. Declaring it again
    /// changes it. Arrays are not bound by it.
    ///
    /// # Errors
    /// `NotFound` if there is no such group, `InvalidArgument` for an array or a bad name.
    pub async fn define_dimension(
        &mut self,
        group: &str,
        name: &str,
        length: u64,
        unlimited: bool,
    ) -> Result<()> {
        check_dimension(name).map_err(|e| self.in_file(e.in_array(group)))?;
        let _gate = self.inner.gate.write().await;
        let not_a_group = || Error::invalid("this is an array, not a group").in_array(group);
        if self.view().node(group).await?.is_some_and(|n| matches!(*n.schema, Schema::Array(_))) {
            return Err(self.in_file(not_a_group()));
        }
        self.stage(group).await?;
        self.edit(|p| {
            let staged = staged_mut(p, group)?;
            let Schema::Group(g) = &*staged.node.schema else { return Err(not_a_group()) };
            let mut g: GroupSchema = g.clone();
            match g.dimensions.iter().position(|d| d == name) {
                Some(i) => {
                    if let (Some(u), Some(n)) = (g.unlimited.get_mut(i), staged.node.shape.get_mut(i)) {
                        (*u, *n) = (unlimited, length);
                    }
                }
                None => {
                    g.dimensions.push(name.to_owned());
                    g.unlimited.push(unlimited);
                    staged.node.shape.push(length);
                }
            }
            staged.node.schema = Arc::new(Schema::Group(g));
            staged.redefined = true;
            Ok(())
        })
        .map_err(|e| self.in_file(e))
    }

    /// Puts the node of a path among the pending ones, so that it can be changed. Groups without a row get one.
    pub(crate) async fn stage(&self, path: &str) -> Result<()> {
        self.check_writable()?;
        let staged = match self.inner.state.lock().pending.nodes.get(path) {
            Some(Staged::Node(s)) => Some((s.checked, s.hides)),
            _ => None,
        };
        match staged {
            Some((true, _)) => return Ok(()),
            Some((false, hides)) => return self.confirm_new(path, hides).await,
            None => {}
        }
        let view = self.view();
        let found = view.node(path).await?;
        let origin = found.as_ref().map(|_| path.to_owned());
        let implicit = found.is_none() && (path.is_empty() || view.has_below(path).await?);
        drop(view);
        self.edit(|p| {
            let node = match found {
                // Another thread was faster.
                _ if matches!(p.nodes.get(path), Some(Staged::Node(_))) => return Ok(()),
                Some(node) => node,
                None if path.is_empty() => empty_group(0),
                None if implicit => empty_group(p.new_id()),
                None => return Err(no_such_array(path)),
            };
            p.put(path, Box::new(StagedNode::new(node, origin, true)));
            Ok(())
        })
        .map_err(|e| self.in_file(e))
    }

    /// Makes up for what `define` could not check without waiting. A definition that proves wrong is taken back.
    async fn confirm_new(&self, path: &str, hides: bool) -> Result<()> {
        let free = self.check_new(path, hides).await;
        self.edit(|p| {
            match free {
                Ok(()) => staged_mut(p, path)?.checked = true,
                Err(_) => {
                    p.take(path);
                }
            }
            free
        })
        .map_err(|e| self.in_file(e.in_array(path)))
    }

    /// Deletes an array, or a group with all that it holds. Older versions keep them.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn delete(&mut self, name: &str) -> Result<()> {
        self.check_writable()?;
        let _gate = self.inner.gate.write().await;
        let view = self.view();
        let mut gone: Vec<String> = view.nodes(&format!("{name}/")).await?.into_iter().map(|n| n.0).collect();
        if view.node(name).await?.is_some() {
            gone.push(name.to_owned());
        }
        drop(view);
        if gone.is_empty() || name.is_empty() {
            return Err(self.in_file(no_such_array(name)));
        }
        self.edit(|p| {
            gone.iter().for_each(|path| remove(p, path));
            Ok(())
        })
    }

    /// Renames an array, or a group with all that it holds. Data, attributes and history stay with it; nothing is copied.
    ///
    /// # Errors
    /// `NotFound`; `AlreadyExists` if something has the new name; `InvalidArgument` for a bad one.
    pub async fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        self.check_writable()?;
        check_path(to).map_err(|e| self.in_file(e))?;
        let _gate = self.inner.gate.write().await;
        if to.strip_prefix(from).is_some_and(|rest| rest.starts_with('/')) {
            return Err(
                self.in_file(Error::invalid(format!("{from:?} cannot be moved into itself, to {to:?}")))
            );
        }
        let view = self.view();
        let mut moved = view.nodes(&format!("{from}/")).await?;
        moved.extend(view.node(from).await?.map(|node| (from.to_owned(), node)));
        drop(view);
        if moved.is_empty() || from.is_empty() {
            return Err(self.in_file(no_such_array(from)));
        }
        self.check_free(to).await.map_err(|e| self.in_file(e.in_array(to)))?;
        for (path, _) in &moved {
            let unchecked = match self.view().pending.nodes.get(path) {
                Some(Staged::Node(s)) if !s.checked => Some(s.hides),
                _ => None,
            };
            if let Some(hides) = unchecked {
                self.confirm_new(path, hides).await?;
            }
        }
        // All of them at once: nothing is read in between that could fail.
        self.edit(|p| {
            for (path, node) in moved {
                if !matches!(p.nodes.get(&path), Some(Staged::Node(_))) {
                    p.put(&path, Box::new(StagedNode::new(node, Some(path.clone()), true)));
                }
                if let Some(mut staged) = p.take(&path) {
                    staged.redefined = true;
                    p.put(&format!("{to}{}", path.strip_prefix(from).unwrap_or_default()), staged);
                }
            }
            Ok(())
        })
    }

    /// Sets an attribute of an array, a group, or the file (`""`).
    ///
    /// # Errors
    /// `NotFound` if there is no such node; `InvalidArgument` for an empty name, or a list that is not whole.
    pub async fn set_attribute(&mut self, node: &str, name: &str, value: impl Into<Value>) -> Result<()> {
        let value = value.into();
        let place = |e: Error| self.in_file(e.in_array(node));
        check_attribute_name(name).and_then(|()| value.check()).map_err(place)?;
        match self.set_staged(node, name, value) {
            None => Ok(()),
            // On the heap: what is rare would make every call large.
            Some(value) => Box::pin(self.set_any(node, name, value)).await.map_err(place),
        }
    }

    /// Sets an attribute of a node that is pending, if that can be done without waiting; else gives the value back.
    fn set_staged(&self, node: &str, name: &str, value: Value) -> Option<Value> {
        let mut state = self.inner.state.lock();
        if self.inner.gate.is_held() || self.inner.read_only {
            return Some(value);
        }
        match state.pending.nodes.get(node) {
            Some(Staged::Node(s)) if s.checked => {}
            _ => return Some(value),
        }
        let pending = Arc::make_mut(&mut state.pending);
        pending.edits += 1;
        pending.put_attribute(node, name, Some(value));
        None
    }

    async fn set_any(&self, node: &str, name: &str, value: Value) -> Result<()> {
        let _gate = self.inner.gate.write().await;
        self.stage(node).await?;
        self.edit(|p| put_attribute(p, node, name, Some(value)))
    }

    /// Removes an attribute. Returns whether it was there.
    ///
    /// # Errors
    /// `NotFound` if there is no such node.
    pub async fn remove_attribute(&mut self, node: &str, name: &str) -> Result<bool> {
        self.check_writable()?;
        let _gate = self.inner.gate.write().await;
        let view = self.view();
        let Some(found) = view.node(node).await? else {
            return match node.is_empty() || view.has_below(node).await? {
                true => Ok(false),
                false => Err(self.in_file(no_such_array(node))),
            };
        };
        drop(view);
        if !found.keys.iter().any(|k| k == name) {
            return Ok(false);
        }
        self.stage(node).await?;
        self.edit(|p| put_attribute(p, node, name, None)).map_err(|e| self.in_file(e))?;
        Ok(true)
    }
}

/// Checks that no part of a path is an array, and that it is no group of others.
pub(crate) async fn check_surroundings(view: &View, path: &str) -> Result<()> {
    for (at, _) in path.match_indices('/') {
        let parent = &path[..at];
        if let Some(node) = view.node(parent).await?
            && matches!(*node.schema, Schema::Array(_))
        {
            return Err(inside_of_array(parent, path));
        }
    }
    if view.has_below(path).await? {
        return Err(holds_others(path));
    }
    Ok(())
}

pub(super) fn inside_of_array(parent: &str, path: &str) -> Error {
    Error::invalid(format!("{parent:?} is an array and cannot hold {path:?}"))
}

pub(super) fn holds_others(path: &str) -> Error {
    Error::new(ErrorKind::AlreadyExists, format!("{path:?} is a group that holds others"))
}

pub(super) fn exists(path: &str) -> Error {
    Error::new(
        ErrorKind::AlreadyExists,
        "something has this name already; delete it first, or use `redefine`",
    )
    .in_array(path)
}

pub(crate) fn empty_group(id: u64) -> Node {
    let schema = Arc::new(Schema::Group(GroupSchema::default()));
    Node { id, schema, shape: Vec::new(), keys: KeySet::default(), chunk: None }
}

pub(super) fn insert_new(p: &mut Pending, path: &str, node: Node, checked: bool) {
    p.put(path, Box::new(StagedNode::new(node, None, checked)));
}

/// The pending node of a path that `stage` put there.
pub(crate) fn staged_mut<'p>(p: &'p mut Pending, path: &str) -> Result<&'p mut StagedNode> {
    match p.nodes.get_mut(path) {
        Some(Staged::Node(staged)) => Ok(staged),
        _ => Err(deleted(path)),
    }
}

fn deleted(path: &str) -> Error {
    Error::new(ErrorKind::Conflict, "the array was deleted while it was changed").in_array(path)
}

fn remove(p: &mut Pending, path: &str) {
    if let Some(staged) = p.take(path) {
        p.forget(staged.node.id);
    } else {
        p.nodes.insert(path.to_owned(), Staged::Gone);
    }
}

pub(crate) fn put_attribute(p: &mut Pending, path: &str, name: &str, value: Option<Value>) -> Result<()> {
    match p.put_attribute(path, name, value) {
        true => Ok(()),
        false => Err(deleted(path)),
    }
}
