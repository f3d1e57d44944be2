//! `make apply`: a folder of documents becomes streams and resources.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;

use crate::harness::{Client, setting, unique_id};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(unique_id("apply"));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Runs the tool on the folder. URL and token come to it as they come to us.
    fn apply(&self, flags: &[&str]) -> Applied {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/local/apply.py");
        let mut command = Command::new("python3");
        command.arg(tool).arg(&self.0).args(flags);
        command.env("MILLRACE_URL", setting("MILLRACE_URL")).env("MILLRACE_TOKEN", setting("MILLRACE_TOKEN"));
        let Output { status, stdout, stderr } = command.output().unwrap();
        Applied { code: status.code(), out: String::from_utf8(stdout).unwrap(), err: String::from_utf8(stderr).unwrap() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug)]
struct Applied {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Applied {
    /// Checks that all went well and these lines were printed, each in words, in this order.
    #[track_caller]
    fn expect(&self, lines: &[String]) {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let printed: Vec<String> = self.out.lines().map(words).collect();
        assert_eq!((self.code, printed.as_slice(), self.err.as_str()), (Some(0), lines, ""));
    }
}

#[tokio::test]
async fn a_folder_is_planned_made_kept_and_updated() {
    let client = Client::new();
    let (folder, id, limit) = (Folder::new(), unique_id("apply"), unique_id("limit"));
    let (resource, stream) = (format!("resource rate_limit/{limit}"), format!("stream {id}/1"));
    let path = format!("/streams/{id}/1");
    folder.write(&format!("resources/rate_limit/{limit}.yaml"), "local: {count: 500}\n");
    folder.write(&format!("{id}/1.yaml"), &format!("# Trucks\nname: Refuse trucks\ninput: {{rate_limit: {limit}}}\n"));

    folder.apply(&["--plan"]).expect(&[format!("would create {resource}"), format!("would create {stream}")]);
    client.get(&path).await.expect_problem(404);
    folder.apply(&[]).expect(&[format!("created {resource}"), format!("created {stream}")]);
    client.wait_active(&path).await;
    let config = client.get(&path).await.expect(200).json()["config"].clone();
    assert_eq!(config, json!({"name": "Refuse trucks", "input": {"rate_limit": limit}}));

    folder.write(&format!("{id}/1.yaml"), &format!("name: Glass bins\ninput: {{rate_limit: {limit}}}\n"));
    folder.apply(&[]).expect(&[format!("kept {resource} (it exists)"), format!("kept {stream} (it exists)")]);
    assert_eq!(client.get(&path).await.expect(200).json()["config"]["name"], "Refuse trucks");
    folder.apply(&["--update", "--plan"]).expect(&[format!("would update {resource}"), format!("would update {stream}")]);
    folder.apply(&["--update"]).expect(&[format!("unchanged {resource}"), format!("updated {stream}")]);
    assert_eq!(client.get(&path).await.expect(200).json()["config"]["name"], "Glass bins");
    folder.apply(&["--update"]).expect(&[format!("unchanged {resource}"), format!("unchanged {stream}")]);
}

#[tokio::test]
async fn a_fault_is_named_with_file_and_place_and_no_stream_is_made() {
    let client = Client::new();
    let (folder, good, bad) = (Folder::new(), unique_id("apply-good"), unique_id("apply-bad"));
    folder.write(&format!("{good}.json"), r#"{"name": "Glass"}"#);
    folder.write(&format!("{bad}.yaml"), "name: Glass\nnmae: Glass\n");
    for flags in [&["--plan"][..], &[]] {
        let applied = folder.apply(flags);
        assert_eq!(applied.code, Some(1), "{applied:?}");
        assert!(applied.err.contains(&format!("{bad}.yaml: (2,1) field nmae not recognised")), "{applied:?}");
        assert!(!applied.err.contains(&good), "{applied:?}");
        client.get(&format!("/streams/{good}")).await.expect_problem(404);
    }
    folder.write("streams/of/mine.yaml", "{}");
    let applied = folder.apply(&["--plan"]);
    assert!(applied.code == Some(1) && applied.err.contains("mine.yaml: expected"), "{applied:?}");
}
