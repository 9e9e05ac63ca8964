//! YAML as JSON values, which are easier to ask.

use saphyr::{LoadableYamlNode as _, Yaml};
use serde_json::Value;

/// All documents of `text`.
pub fn documents(text: &str) -> Vec<Value> {
    let documents = Yaml::load_from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
    documents.iter().map(value).collect()
}

fn value(node: &Yaml<'_>) -> Value {
    if let Some(mapping) = node.as_mapping() {
        mapping.iter().map(|(key, node)| (key.as_str().expect("a name").to_owned(), value(node))).collect()
    } else if let Some(sequence) = node.as_sequence() {
        sequence.iter().map(value).collect()
    } else if let Some(number) = node.as_integer() {
        number.into()
    } else if let Some(switch) = node.as_bool() {
        switch.into()
    } else if node.is_null() {
        Value::Null
    } else {
        node.as_str().unwrap_or_else(|| panic!("what is {node:?}?")).into()
    }
}

/// The items of a list, or none where there is no list.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
