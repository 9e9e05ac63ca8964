//! The objects that kustomize makes.

use crate::support::parts;
use crate::yaml::{documents, items, text};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

pub const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
pub const NAMESPACE: &str = "mb-encode";
/// The token of the copy that tests build from.
pub const TOKEN: &str = "5d0c9e2b7a41";

/// What is applied at once.
pub struct Applied {
    /// Which components are in it.
    pub name: String,
    pub objects: Vec<Value>,
}

/// A file of the example.
pub fn example(path: &str) -> String {
    let path = Path::new(REPOSITORY).join("examples/kubernetes").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A copy of the example, with a token in it.
fn copy() -> &'static Path {
    static COPY: OnceLock<TempDir> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().expect("a folder");
        let from = Path::new(REPOSITORY).join("examples/kubernetes");
        let copied = Command::new("cp").arg("-r").arg(from).arg(folder.path()).status().expect("cp");
        assert!(copied.success());
        std::fs::write(folder.path().join("kubernetes/token"), TOKEN).expect("room for a token");
        folder
    };
    COPY.get_or_init(make).path()
}

/// What kustomize says of a folder in the copy.
fn build(folder: &Path) -> Result<Vec<Value>, String> {
    let how = "go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1";
    let kustomize = parts::find("KUSTOMIZE", "kustomize", &[], how);
    let built = Command::new(kustomize).arg("build").arg(folder).output().expect("kustomize runs");
    // What is out of date is worth a word to it, and is not to be in an example.
    match (built.status.success(), String::from_utf8_lossy(&built.stderr)) {
        (true, words) if words.is_empty() => Ok(documents(&String::from_utf8(built.stdout).expect("text"))),
        (_, words) => Err(words.into_owned()),
    }
}

/// Every component that there is.
pub fn components() -> Vec<String> {
    let root = Path::new(REPOSITORY).join("examples/kubernetes/components");
    let folders = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_dir()).collect()
    };
    let all = folders(&root).into_iter().flat_map(|folder| [folders(&folder), vec![folder]].concat());
    let mut names: Vec<_> =
        all.map(|folder| folder.strip_prefix(&root).expect("within").display().to_string()).collect();
    names.sort();
    assert!(names.len() >= 5, "{names:?}");
    names
}

/// The example with these components.
pub fn with(components: &[&str]) -> Applied {
    let folder = tempfile::tempdir_in(copy()).expect("a folder");
    let lines: String = components.iter().map(|name| format!("  - ../kubernetes/components/{name}\n")).collect();
    let lines = if lines.is_empty() { lines } else { format!("components:\n{lines}") };
    let kustomization = format!("kind: Kustomization\nresources: [../kubernetes]\n{lines}");
    std::fs::write(folder.path().join("kustomization.yaml"), kustomization).expect("room for it");
    let name = format!("with {components:?}");
    let objects = build(folder.path()).unwrap_or_else(|words| panic!("{name}: {words}"));
    Applied { name, objects }
}

/// The example by itself, with each component, and with all that go together.
pub fn combinations() -> &'static [Applied] {
    static BUILT: OnceLock<Vec<Applied>> = OnceLock::new();
    BUILT.get_or_init(|| {
        let components = components();
        let mut each: Vec<Vec<&str>> = components.iter().map(|name| vec![name.as_str()]).collect();
        each.push(Vec::new());
        each.push(vec!["nvidia", "monitoring", "frames", "node-ports"]);
        each.push(vec!["frames", "monitoring", "nvidia/slots", "balancer"]);
        each.iter().map(|names| with(names)).collect()
    })
}

impl Applied {
    /// The object of this kind and name, without what kustomize puts behind the name of what it generates.
    pub fn object(&self, kind: &str, name: &str) -> &Value {
        let is_it = |object: &&Value| {
            let its = text(&object["metadata"]["name"]);
            object["kind"] == kind && (its == name || its.rsplit_once('-').is_some_and(|(its, _)| its == name))
        };
        let found: Vec<_> = self.objects.iter().filter(is_it).collect();
        match found[..] {
            [object] => object,
            _ => panic!("{}: one {kind} {name}: {found:?}", self.name),
        }
    }

    /// Whatever runs pods, by its name.
    pub fn workloads(&self) -> impl Iterator<Item = (&str, &Value)> {
        let pods = |object: &Value| object["spec"]["template"]["spec"].is_object();
        self.objects.iter().filter(move |object| pods(object)).map(|object| {
            let pod = &object["spec"]["template"]["spec"];
            (text(&object["metadata"]["name"]), pod)
        })
    }
}

/// All containers of a pod.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    items(&pod["initContainers"]).chain(items(&pod["containers"]))
}

/// The one of this name.
pub fn container<'a>(pod: &'a Value, name: &str) -> &'a Value {
    containers(pod).find(|container| container["name"] == name).unwrap_or_else(|| panic!("a container {name} in {pod}"))
}

#[test]
fn each_folder_is_built_by_itself_or_in_another() {
    let base = build(&copy().join("kubernetes/base")).expect("the base needs no token");
    let kinds: Vec<_> = base.iter().map(|object| text(&object["kind"])).collect();
    for kind in
        ["Namespace", "StatefulSet", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget", "ConfigMap"]
    {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    assert!(!kinds.contains(&"Secret"), "what is in an example is no secret");
    assert_eq!(combinations().len(), components().len() + 3);
}

#[test]
fn without_a_token_nothing_is_applied() {
    let folder = tempfile::tempdir_in(copy()).expect("a folder");
    let copied = Command::new("cp").arg("-r").arg(copy().join("kubernetes")).arg(folder.path()).status().expect("cp");
    assert!(copied.success());
    let mine = folder.path().join("kubernetes");
    std::fs::remove_file(mine.join("token")).expect("it is there");
    let words = build(&mine).expect_err("it needs one");
    assert!(words.contains("token"), "{words}");
}
