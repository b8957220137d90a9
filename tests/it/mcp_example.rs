//! `mcp.json.example` is what people paste into their client: what it says must start a server.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{RawServer, Workspace, binary, clean};

/// Where the example's placeholder paths lie.
const ROOT: &str = "/absolute/path/to/polymarket-agent";

#[test]
fn the_example_starts_a_server_that_answers() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("mcp.json.example");
    let example: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let entry = &example["mcpServers"]["polymarket-agent"];
    assert_eq!(entry["type"], "stdio");
    let workspace = Workspace::new();
    let mut replaced = 0;
    let mut real = |text: &Value| {
        let text = text.as_str().unwrap();
        let path = match text.strip_prefix(ROOT) {
            Some("/target/release/polymarket-agent") => binary().to_path_buf(),
            Some("/config.yaml") => workspace.config(),
            Some("/polymarket_agent.db") => workspace.db(),
            Some(other) => panic!("no such path in a checkout: {other}"),
            None => return text.to_owned(),
        };
        replaced += 1;
        path.to_str().unwrap().to_owned()
    };
    let program = real(&entry["command"]);
    let args: Vec<String> = entry["args"].as_array().unwrap().iter().map(real).collect();
    assert_eq!(replaced, 3, "the program, its configuration, its database");
    // Nothing listens there: the venue of the defaults is not for tests.
    let url = "http://127.0.0.1:9";
    workspace.configure(&format!(
        "venue: {{gamma_url: '{url}', clob_url: '{url}', data_url: '{url}', retries: 0}}\n"
    ));

    // A client starts the server wherever it happens to be itself.
    let elsewhere = workspace.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let mut command = Command::new(program);
    clean(&mut command, &elsewhere);
    command.args(args).stderr(Stdio::null());
    let mut server = RawServer::start(command);
    let hello = server.initialize();
    assert_eq!(hello["result"]["serverInfo"]["name"], "polymarket-agent");
    let list = server.request("tools/list", json!({}));
    assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 24);
    let account = server.call("get_portfolio", json!({}));
    assert_eq!(account["balance"], 1000.0);
    server.close();
    assert!(workspace.db().exists());
    assert_eq!(
        std::fs::read_dir(&elsewhere).unwrap().count(),
        0,
        "everything is where the entry says"
    );
}
