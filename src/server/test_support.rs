//! A toy application for the tests of this part and of the scheduler.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Notify;

use super::*;

/// The state.
#[derive(Debug, Default)]
pub(crate) struct Toy {
    /// How often `tick` ran.
    pub(crate) ticks: AtomicU32,
    /// How many `tick`s run now, and most at once.
    pub(crate) running: AtomicU32,
    pub(crate) most_at_once: AtomicU32,
    /// Told when the background work of `slow` saw its token cancelled.
    pub(crate) stopped: Arc<Notify>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddIn {
    #[serde(deserialize_with = "lenient::number")]
    a: i64,
    #[serde(deserialize_with = "lenient::number")]
    b: i64,
}

#[derive(Serialize, JsonSchema)]
struct AddOut {
    sum: i64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QuoteIn {
    /// Market id, e.g. "m1".
    market_id: String,
}

#[derive(Serialize, JsonSchema)]
struct QuoteOut {
    market_id: String,
    bid: Option<f64>,
    ask: Option<f64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SlowIn {
    #[serde(default)]
    ms: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExplodeIn {
    early: bool,
}

#[derive(Serialize, JsonSchema)]
struct Done {
    done: u64,
}

#[derive(Serialize, JsonSchema)]
struct Who {
    caller: String,
}

async fn slow(toy: Arc<Toy>, input: SlowIn, caller: Caller) -> Result<Done, ToolError> {
    let (token, stopped) = (caller.cancelled.clone(), Arc::clone(&toy.stopped));
    tokio::spawn(async move {
        token.cancelled().await;
        stopped.notify_one();
    });
    tokio::time::sleep(Duration::from_millis(input.ms)).await;
    Ok(Done { done: input.ms })
}

async fn steps(_: Arc<Toy>, _: NoArguments, caller: Caller) -> Result<Done, ToolError> {
    for step in 1..=4 {
        caller.report(f64::from(step), Some(4.0), "working");
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    Ok(Done { done: 4 })
}

async fn tick(toy: Arc<Toy>, input: SlowIn, _: Caller) -> Result<Done, ToolError> {
    let now = toy.running.fetch_add(1, Ordering::SeqCst) + 1;
    toy.most_at_once.fetch_max(now, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(input.ms)).await;
    toy.running.fetch_sub(1, Ordering::SeqCst);
    Ok(Done {
        done: u64::from(toy.ticks.fetch_add(1, Ordering::SeqCst) + 1),
    })
}

/// A tool of that name that does nothing.
pub(crate) fn named(name: &'static str) -> ToolSpec<Toy> {
    ToolSpec::new(
        name,
        "T",
        "D",
        ToolAnnotations::ADD,
        |_, _: NoArguments, _| async { Ok(Done { done: 0 }) },
    )
}

/// The toy's tools.
pub(crate) fn registry() -> Arc<Registry<Toy>> {
    let add = |_: Arc<Toy>, input: AddIn, _: Caller| async move {
        Ok(AddOut {
            sum: input.a + input.b,
        })
    };
    let quote = |_: Arc<Toy>, input: QuoteIn, _: Caller| async move {
        if input.market_id != "m1" {
            return Err(ToolError::new(
                "not_found",
                format!("there is no market {}", input.market_id),
                "the only one is m1",
            ));
        }
        Ok(QuoteOut {
            market_id: input.market_id,
            bid: Some(0.4),
            ask: None,
        })
    };
    let explode = |_: Arc<Toy>, input: ExplodeIn, _: Caller| {
        assert!(!input.early, "secret");
        async move {
            if !input.early {
                panic!("a secret of {}", "ours");
            }
            Ok(Done { done: 0 })
        }
    };
    let whoami = |_: Arc<Toy>, _: NoArguments, caller: Caller| async move {
        Ok(Who {
            caller: caller.kind.to_string(),
        })
    };
    let tools = vec![
        ToolSpec::new("add", "Add", "Adds.", ToolAnnotations::READ_LOCAL, add),
        ToolSpec::with_text(
            "quote",
            "Quote",
            "Best prices of a market.",
            ToolAnnotations::READ_OUTSIDE,
            quote,
            |out: &QuoteOut| match (out.bid, out.ask) {
                (Some(bid), None) => format!("{}: bid {bid}, no ask", out.market_id),
                _ => out.market_id.clone(),
            },
        )
        .ui("ui://toy/page.html"),
        ToolSpec::new(
            "slow",
            "Slow",
            "Takes its time.",
            ToolAnnotations::DESTRUCTIVE,
            slow,
        )
        .time_limit(Duration::from_millis(200)),
        ToolSpec::new(
            "steps",
            "Steps",
            "Reports.",
            ToolAnnotations::READ_LOCAL,
            steps,
        ),
        ToolSpec::new(
            "explode",
            "Explode",
            "Panics.",
            ToolAnnotations::ADD,
            explode,
        ),
        ToolSpec::new(
            "whoami",
            "Who",
            "Names its caller.",
            ToolAnnotations::READ_LOCAL,
            whoami,
        ),
        ToolSpec::new("tick", "Tick", "Counts.", ToolAnnotations::ADD, tick).unlisted(),
    ];
    Arc::new(Registry::new(tools).unwrap())
}

/// 60 notes, one page, and one that cannot be read.
pub(crate) struct Notes;

#[async_trait]
impl ResourceProvider<Toy> for Notes {
    fn list(&self, _: &Toy) -> Vec<ResourceInfo> {
        let info = |uri: String, mime: &str| ResourceInfo {
            name: uri.clone(),
            title: "Note".to_owned(),
            description: "A note.".to_owned(),
            mime: mime.to_owned(),
            uri,
        };
        let mut all = vec![info("ui://toy/page.html".to_owned(), UI_MIME)];
        all.extend((1..=60).map(|n| info(format!("toy://notes/{n}"), "text/plain")));
        all
    }

    fn shows_pages(&self) -> bool {
        true
    }

    fn templates(&self) -> Vec<ResourceTemplateInfo> {
        vec![ResourceTemplateInfo {
            uri_template: "toy://notes/{n}".to_owned(),
            name: "note".to_owned(),
            title: "Note".to_owned(),
            description: "One note.".to_owned(),
            mime: "text/plain".to_owned(),
        }]
    }

    async fn read(&self, toy: &Arc<Toy>, uri: &str) -> Result<ResourceBody, ResourceError> {
        let body = |text: String, mime: &str| ResourceBody {
            text,
            mime: mime.to_owned(),
            meta: None,
        };
        match uri {
            "ui://toy/page.html" => {
                let meta = json!({ "ui": { "prefersBorder": true } });
                Ok(ResourceBody {
                    meta: meta.as_object().cloned(),
                    ..body("<!doctype html><p>hi</p>".to_owned(), UI_MIME)
                })
            }
            "toy://ticks" => Ok(body(
                toy.ticks.load(Ordering::SeqCst).to_string(),
                "text/plain",
            )),
            "toy://broken" => Err(ResourceError::Failed("the disk is full".to_owned())),
            "toy://panic" => panic!("secret"),
            _ => Err(ResourceError::NotFound(uri.to_owned())),
        }
    }
}

/// A server over the toy.
pub(crate) fn server(changes: ChangeFeed) -> McpServer<Toy> {
    McpServer::new(registry(), Arc::new(Toy::default()), "Use add.")
        .with_resources(Arc::new(Notes), changes)
}
