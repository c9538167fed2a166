//! Looks at every state of a configuration.

use stateright::{Checker, HasDiscoveries, Model};

use crate::actor::Config;
use crate::history::Violation;

/// What an exploration found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The configuration's name.
    pub name: &'static str,
    /// Different states.
    pub states: usize,
    /// Calls of the longest way.
    pub depth: usize,
    /// Whether a state was found in which all actors are done.
    pub finishes: bool,
    /// The shortest way to what must never happen.
    pub violation: Option<(Violation, Vec<String>)>,
}

/// Explores a configuration: all of it, or up to the first violation.
pub fn explore(config: &Config) -> Report {
    let name = config.name;
    let always = "nothing happens that must never happen";
    let checker = config.clone().checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let violation = checker.discovery(always).and_then(|path| {
        let steps = path.clone().into_vec();
        let violation = path.last_state().violation?;
        let calls = steps.iter().filter_map(|(state, action)| Some(action.as_ref()?.describe(config, state)));
        Some((violation, calls.collect()))
    });
    Report {
        name,
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        finishes: checker.discovery("all actors finish").is_some(),
        violation,
    }
}
