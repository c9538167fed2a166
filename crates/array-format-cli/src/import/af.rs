//! An array-format file, or a group of it, as a source: what was imported, seen through the model it came in by.

use array_format::blocking::wait;
use array_format::{ArrayFile, Result, Value, Values};

use super::{
    AttributeValue, Attributes, Skipped, Source, SourceDimension, SourceGroup, SourceValues, SourceVariable,
};

/// Attribute that marks bytes as characters (NC_CHAR), for which there is no element type of its own.
pub(crate) const TYPE_MARK: &str = "_netcdf_type";
/// Its value.
pub(crate) const CHAR: &str = "char";

#[derive(Debug)]
pub(crate) struct AfSource {
    file: ArrayFile,
    prefix: String,
    groups: Vec<SourceGroup>,
    variables: Vec<SourceVariable>,
}

impl AfSource {
    /// The group `group` of a file; `""` is all of it.
    ///
    /// # Errors
    /// As reading the index.
    pub(crate) fn new(file: ArrayFile, group: &str) -> Result<Self> {
        let prefix = if group.is_empty() { String::new() } else { format!("{group}/") };
        let mut paths = vec![group.to_owned()];
        paths.extend(
            wait(file.list_groups())?.into_iter().filter(|g| g.starts_with(&prefix) && !g.is_empty()),
        );
        let mut groups = Vec::new();
        for path in paths {
            let dimensions = wait(file.dimensions(&path))?;
            let dimension = |d: array_format::Dimension| SourceDimension {
                name: d.name,
                len: d.length,
                unlimited: d.unlimited,
            };
            groups.push(SourceGroup {
                path: path.strip_prefix(&prefix).unwrap_or_default().to_owned(),
                dimensions: dimensions.into_iter().map(dimension).collect(),
                attributes: attributes(wait(file.attributes(&path))?),
            });
        }
        let mut variables = Vec::new();
        for a in wait(file.arrays(&prefix))? {
            let mut attributes = attributes(wait(file.attributes(&a.name))?);
            let is_char = attributes.iter().any(|(n, _)| n == TYPE_MARK);
            attributes.retain(|(n, _)| n != TYPE_MARK);
            variables.push(SourceVariable {
                name: a.name.strip_prefix(&prefix).unwrap_or(&a.name).to_owned(),
                dtype: a.schema.dtype,
                dims: a.schema.dimensions,
                shape: a.shape,
                chunk_shape: a.schema.chunk_shape,
                fill: a.schema.fill,
                attributes,
                is_char,
                column_major: false,
            });
        }
        Ok(Self { file, prefix, groups, variables })
    }
}

fn attributes(all: Vec<(String, Value)>) -> Attributes {
    let one = |v| match v {
        Value::Scalar(s) => AttributeValue::Scalar(s.item(), s.bytes().to_vec()),
        Value::String(s) => AttributeValue::String(s),
        Value::Binary(b) => AttributeValue::Binary(b),
        Value::List { item, bytes } => AttributeValue::List(item, bytes),
        Value::StringList(l) => AttributeValue::StringList(l),
        // The import makes none of these.
        Value::BinaryList(l) => AttributeValue::Binary(l.concat()),
    };
    all.into_iter().map(|(name, v)| (name, one(v))).collect()
}

impl Source for AfSource {
    fn groups(&self) -> &[SourceGroup] {
        &self.groups
    }

    fn variables(&self) -> &[SourceVariable] {
        &self.variables
    }

    fn skipped(&self) -> &[Skipped] {
        &[]
    }

    fn read(&self, variable: &str, start: &[u64], shape: &[u64]) -> Result<SourceValues> {
        let name = format!("{}{variable}", self.prefix);
        let (_, elements) = wait(self.file.read_elements(&name, start.to_vec(), shape.to_vec(), vec![]))?;
        let item = elements.dtype.item();
        let text = elements.dtype == array_format::DType::String;
        Ok(match elements.values {
            Values::Fixed(bytes) => SourceValues::Fixed(bytes),
            Values::Variable(v) => {
                let lists: Vec<Vec<u8>> = v.iter().map(<[u8]>::to_vec).collect();
                match item {
                    Some(item) => SourceValues::Lists { item, lists },
                    None if text => SourceValues::Strings(
                        lists.into_iter().map(|b| String::from_utf8_lossy(&b).into_owned()).collect(),
                    ),
                    None => SourceValues::Binary(lists),
                }
            }
        })
    }
}
