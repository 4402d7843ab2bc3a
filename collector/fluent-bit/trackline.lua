-- A line becomes a document: the same fields, a data stream, and the _id by which it is stored once, however often it is sent.
-- Fluent Bit's Lua is LuaJIT, which is Lua 5.1.

local function text(value)
    return type(value) == "string" and value ~= "" and value or nil
end

-- A number of ours: twelve hex digits and a count. Of other writers event.id may come again, and all but the first would be refused.
local function number(value)
    return type(value) == "string" and value:match("^%x%x%x%x%x%x%x%x%x%x%x%x%-%d+$") or nil
end

-- A data stream's dataset has no hyphen, and nothing that an index's name must not have.
local function dataset(service)
    if not service then
        return "trackline"
    end
    return (service:lower():gsub('[-%s\\/*?"<>|,#:]', "_"):sub(1, 100))
end

function document(tag, timestamp, record)
    local namespace = text(os.getenv("TRACKLINE_NAMESPACE")) or "default"
    local now = os.date("!%Y-%m-%dT%H:%M:%SZ")
    -- What no JSON could be read from is whole under the name that its input has for it.
    local line = record["trackline_line"] or record["log"]
    local file = record["trackline_file"]
    record["trackline_line"], record["trackline_file"], record["trackline_offset"] = nil, nil, nil

    if type(line) == "string" and record["@timestamp"] == nil and record["timestamp"] == nil then
        return 2, timestamp, {
            ["@timestamp"] = now,
            ["message"] = line,
            ["error.message"] = "the line is not a JSON object",
            ["event.kind"] = "pipeline_error",
            ["log.file.path"] = file,
            ["trackline_stream"] = "logs-trackline.deadletter-" .. namespace,
        }
    end

    -- What schema="otel" calls otherwise.
    local attributes = type(record["attributes"]) == "table" and record["attributes"] or {}
    local resource = type(record["resource"]) == "table" and record["resource"] or {}
    record["@timestamp"] = text(record["@timestamp"]) or text(record["timestamp"]) or now

    -- A line without a number of its own (schema="flat", other writers) has an _id of Elasticsearch's: sent again, it is there twice.
    record["trackline_id"] = number(record["event.id"]) or number(attributes["log.record.uid"])
    local service = text(record["service.name"]) or text(resource["service.name"])
    record["trackline_stream"] = "logs-" .. dataset(service) .. "-" .. namespace
    return 2, timestamp, record
end
