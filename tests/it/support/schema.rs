//! What the tools promise: their output schemas, checked by a validator that nobody here wrote.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;
use std::collections::BTreeMap;

/// The output schema of each tool.
pub struct Contracts {
    schemas: Schemas,
    by_tool: BTreeMap<String, SchemaIndex>,
}

impl Contracts {
    /// Compiles the schemas of these tools; one without an output schema fails the test.
    pub fn of(tools: &[rmcp::model::Tool]) -> Self {
        let mut compiler = Compiler::new();
        let mut schemas = Schemas::new();
        let mut by_tool = BTreeMap::new();
        for tool in tools {
            let schema = tool.output_schema.as_deref();
            let schema = schema.unwrap_or_else(|| panic!("{} has no output schema", tool.name));
            let location = format!("https://example.invalid/{}.json", tool.name);
            compiler
                .add_resource(&location, Value::Object(schema.clone()))
                .unwrap();
            let index = compiler
                .compile(&location, &mut schemas)
                .unwrap_or_else(|error| panic!("{}: {error:#}", tool.name));
            by_tool.insert(tool.name.to_string(), index);
        }
        Contracts { schemas, by_tool }
    }

    /// Demands that an answer of `tool` is as promised.
    #[track_caller]
    pub fn check(&self, tool: &str, answer: &Value) {
        if let Err(error) = self.schemas.validate(answer, self.by_tool[tool]) {
            panic!("{tool} breaks its schema: {error:#}\n{answer}");
        }
    }
}
