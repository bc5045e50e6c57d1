//! What an agent tells of its work while a turn goes on.

use serde_json::Value;

/// A `session/update`, as far as it matters here.
#[derive(Debug, PartialEq)]
pub(super) enum Update {
    /// A piece of what it says; a message may have an id of its own.
    Said { text: String, message: Option<String> },
    /// A piece of what it thinks.
    Thought,
    /// It uses a tool.
    Tool { id: String, is_over: bool },
    /// It tells more of a tool it uses.
    ToolChanged { id: String, is_over: bool },
    /// What the session has cost so far, in millionths of a US dollar.
    Cost(u64),
    /// Anything else, also what later versions know.
    Other,
}

/// Characters of an id that count.
const ID_CHARS_MAX: usize = 256;

impl Update {
    /// Reads the parameters of a notification.
    pub(super) fn read(params: &Value) -> Self {
        let update = &params["update"];
        let id = || text_of(&update["toolCallId"], ID_CHARS_MAX).unwrap_or_default();
        let is_over = matches!(update["status"].as_str(), Some("completed" | "failed"));
        match update["sessionUpdate"].as_str() {
            Some("agent_message_chunk") => Self::Said {
                text: update["content"]["text"].as_str().unwrap_or_default().to_owned(),
                message: text_of(&update["messageId"], ID_CHARS_MAX),
            },
            Some("agent_thought_chunk") => Self::Thought,
            Some("tool_call") => Self::Tool { id: id(), is_over },
            Some("tool_call_update") => Self::ToolChanged { id: id(), is_over },
            Some("usage_update") => microusd(&update["cost"]).map_or(Self::Other, Self::Cost),
            _ => Self::Other,
        }
    }
}

/// A price; none that is not in US dollars.
fn microusd(cost: &Value) -> Option<u64> {
    let amount = cost["amount"].as_f64().filter(|amount| amount.is_finite() && *amount >= 0.0)?;
    let in_dollars = cost["currency"].as_str().is_some_and(|currency| currency.eq_ignore_ascii_case("usd"));
    // More than fits is as much as fits.
    in_dollars.then_some((amount * 1e6).round() as u64)
}

/// A text that is not empty, shortened to so many characters.
pub(super) fn text_of(value: &Value, chars_max: usize) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    Some(text.chars().take(chars_max).collect())
}

/// The model of a session that was begun or taken up: it stands in its settings, or where it stood before there were any.
pub(super) fn model_of(reply: &Value) -> Option<String> {
    let settings = reply["configOptions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let setting = settings.iter().find(|setting| setting["category"] == "model");
    let model = setting.map_or(&reply["models"]["currentModelId"], |setting| &setting["currentValue"]);
    text_of(model, 200)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn costs_are_read_in_dollars_only() {
        assert_eq!(microusd(&json!({"amount": 0.25, "currency": "USD"})), Some(250_000));
        assert_eq!(microusd(&json!({"amount": 1e300, "currency": "usd"})), Some(u64::MAX));
        for cost in [
            json!({"amount": 1, "currency": "EUR"}),
            json!({"amount": -1, "currency": "USD"}),
            json!({"amount": "1", "currency": "USD"}),
            json!(null),
        ] {
            assert_eq!(microusd(&cost), None, "{cost}");
        }
    }

    #[test]
    fn what_is_not_known_is_passed_over() {
        for params in
            [json!(null), json!([1]), json!({"update": {"sessionUpdate": "dream"}}), json!({"update": 5})]
        {
            assert_eq!(Update::read(&params), Update::Other, "{params}");
        }
        let image = json!({"update": {"sessionUpdate": "agent_message_chunk", "content": {"type": "image"}}});
        assert_eq!(Update::read(&image), Update::Said { text: String::new(), message: None });
    }

    #[test]
    fn the_model_stands_in_the_settings_or_where_it_stood_before() {
        let settings = json!([
            {"id": "mode", "category": "mode", "type": "select", "currentValue": "build"},
            {"id": "model", "category": "model", "type": "select", "currentValue": "tiny/tiny"},
        ]);
        assert_eq!(model_of(&json!({"configOptions": settings})).as_deref(), Some("tiny/tiny"));
        assert_eq!(model_of(&json!({"models": {"currentModelId": "m"}})).as_deref(), Some("m"));
        assert_eq!(model_of(&json!({"configOptions": [{"category": 1}, 2], "models": "?"})), None);
        assert_eq!(model_of(&Value::Null), None);
    }
}
