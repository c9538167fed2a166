//! What the protocol checks, one switch a check: a test takes one away and expects to see what it was for.

/// The checks of `docs/format.md` section 11. All of them are on in [`Guards::default`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards {
    /// A layer is written with create-if-absent, not with a plain put.
    pub create_if_absent: bool,
    /// After an error of the create, the write id of what is there tells whose it is.
    pub write_id_after_error: bool,
    /// Whoever finds the number taken looks for the own write id among the ancestors of the newest version.
    pub ancestors_when_taken: bool,
    /// Whose number lies before the ancestors that a root holds does not know whether it committed, and says so.
    pub says_unknown: bool,
    /// A create whose answer was lost is repeated with the same write id.
    pub repeats_same_write_id: bool,
    /// A change is checked against what others committed since.
    pub overlap_check: bool,
    /// Step 2 of a commit looks whether its number is marked.
    pub mark_after_create: bool,
    /// It does so before it reads the base.
    pub mark_before_base: bool,
    /// Step 2 of a commit lists if it is.
    pub list_after_create: bool,
    /// Step 2 of a commit reads the base after that.
    pub base_after_create: bool,
    /// Numbers above the base are marked before layers that have them are deleted.
    pub mark_before_delete: bool,
    /// A mark is deleted only once the base has its number or a higher one, or by who made a higher mark.
    pub marks_kept: bool,
    /// Step 2 looks at the file id of the base.
    pub file_after_create: bool,
    /// Steps 3 and 4 look at the file id of the newest version.
    pub file_of_newest: bool,
    /// Step 3 of a commit tests the floor of the newest version.
    pub floor_test: bool,
    /// Step 3 of a commit tests the number of the base.
    pub base_test: bool,
    /// Step 3 of a commit looks among the ancestors.
    pub ancestors_test: bool,
    /// Whoever opens lists first, then reads the base.
    pub list_before_base: bool,
    /// Whoever opens begins again if the layer is not the one that was listed.
    pub opens_what_was_listed: bool,
    /// Whoever opens begins again if the layer is gone, instead of taking the base.
    pub begins_again: bool,
    /// Whoever opens checks that what the root lists is there.
    pub missing_check: bool,
    /// It checks this against the listing that it took first, not against what is there later.
    pub missing_in_listing: bool,
    /// The base is replaced only if it is the one that was read.
    pub promote_conditional: bool,
    /// The base is replaced only if no kept version needs the old one.
    pub promote_only_unneeded: bool,
    /// A compaction deletes after it has published.
    pub delete_after_publish: bool,
    /// A collection commits its floor before it deletes what the floor gives up.
    pub floor_before_delete: bool,
    /// A collection reads the newest version after the listing from which it deletes.
    pub head_after_listing: bool,
    /// A collection keeps what tagged versions need.
    pub tags_kept: bool,
    /// A collection keeps what the versions from the floor up need.
    pub kept_versions_kept: bool,
    /// A commit takes floor and tags over from the version that it builds on.
    pub takes_over: bool,
    /// A version is tagged only if it is one of the version that the tag's commit builds on.
    pub tag_check: bool,
    /// A detached layer is joined only if it was begun at the floor or above.
    pub begun_check: bool,
    /// A collection deletes detached layers only if they were begun below the floor.
    pub begun_kept: bool,
    /// Names and trailers of layers carry the file id, and it is looked at.
    pub file_ids: bool,
    /// A reference to an object carries its write id, and it is looked at.
    pub reference_ids: bool,
    /// What a new file finds in the folder is foreign if the base says so, not if it is not its own.
    pub foreign_by_base: bool,
    /// Who does not find a sidecar looks whether it became the base.
    pub looks_in_base: bool,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            create_if_absent: true,
            write_id_after_error: true,
            ancestors_when_taken: true,
            says_unknown: true,
            repeats_same_write_id: true,
            overlap_check: true,
            mark_after_create: true,
            mark_before_base: true,
            list_after_create: true,
            base_after_create: true,
            mark_before_delete: true,
            marks_kept: true,
            file_after_create: true,
            file_of_newest: true,
            floor_test: true,
            base_test: true,
            ancestors_test: true,
            list_before_base: true,
            opens_what_was_listed: true,
            begins_again: true,
            missing_check: true,
            missing_in_listing: true,
            promote_conditional: true,
            promote_only_unneeded: true,
            delete_after_publish: true,
            floor_before_delete: true,
            head_after_listing: true,
            tags_kept: true,
            kept_versions_kept: true,
            takes_over: true,
            tag_check: true,
            begun_check: true,
            begun_kept: true,
            file_ids: true,
            reference_ids: true,
            foreign_by_base: true,
            looks_in_base: true,
        }
    }
}
