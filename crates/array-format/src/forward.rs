//! The reading half of [`ArrayFile`]: each call reads what a [`Snapshot`](crate::Snapshot) taken now would.

use array_format_core::Result;
use array_format_core::buffer::Elements;
use array_format_core::element::ArrayElement;
use array_format_core::value::Value;
use ndarray::{ArrayD, ArrayViewMutD};

use crate::columns::{ArrayStatistics, AttributeColumn, ChunkInfo, StatisticsColumn};
use crate::file::ArrayFile;
use crate::read::ragged::Ragged;
use crate::snapshot::{ArrayInfo, Dimension, Regions};

macro_rules! forward {
    ($($name:ident $(<$t:ident>)? ($($arg:ident: $ty:ty),*) -> $out:ty;)*) => {
        impl ArrayFile {
            $(
                #[doc = concat!("[`Snapshot::", stringify!($name), "`](crate::Snapshot::", stringify!($name), ") of now, pending changes included.")]
                ///
                /// # Errors
                /// As there.
                pub async fn $name$(<$t: ArrayElement>)?(&self, $($arg: $ty),*) -> Result<$out> {
                    self.snapshot().$name($($arg),*).await
                }
            )*
        }
    };
}

forward! {
    list_arrays() -> Vec<String>;
    list_arrays_in(prefix: &str) -> Vec<String>;
    list_groups() -> Vec<String>;
    contains(name: &str) -> bool;
    array(name: &str) -> ArrayInfo;
    arrays(prefix: &str) -> Vec<ArrayInfo>;
    dimensions(group: &str) -> Vec<Dimension>;
    read_array<T>(name: &str, start: Vec<u64>, shape: Vec<u64>) -> ArrayD<T>;
    read_array_steps<T>(name: &str, start: Vec<u64>, shape: Vec<u64>, step: Vec<u64>) -> ArrayD<T>;
    read_into<T>(name: &str, start: Vec<u64>, out: ArrayViewMutD<'_, T>) -> ();
    read_elements(name: &str, start: Vec<u64>, shape: Vec<u64>, step: Vec<u64>) -> (Vec<u64>, Elements);
    read_bytes(name: &str, start: Vec<u64>, shape: Vec<u64>, step: Vec<u64>, values: &mut [u8], validity: Option<&mut [u8]>) -> ();
    read_many<T>(names: &[String], start: Vec<u64>, shape: Vec<u64>) -> Regions<T>;
    read_ragged<T>(names: &[String]) -> Ragged<T>;
    attribute(node: &str, name: &str) -> Option<Value>;
    attributes(node: &str) -> Vec<(String, Value)>;
    attribute_column(name: &str) -> AttributeColumn;
    attribute_index(name: &str) -> Vec<(String, Value)>;
    statistics(name: &str) -> ArrayStatistics;
    statistics_column() -> StatisticsColumn;
    statistics_index() -> Vec<ArrayStatistics>;
    names(ids: &[u64]) -> Vec<Option<String>>;
    chunks(name: &str) -> Vec<ChunkInfo>;
    is_written(name: &str, coords: &[u64]) -> bool;
    chunks_where(name: &str, min: Option<Value>, max: Option<Value>) -> Vec<ChunkInfo>;
}
