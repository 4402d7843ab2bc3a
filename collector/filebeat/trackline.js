// Takes a line apart, and says in which data stream it is stored, and by which _id: the same however often it is sent.
// Filebeat's JavaScript is ECMAScript 5.1.

var processor = require("processor");

// Not the parser `ndjson`: that takes event.id out of the document, and of two objects in one line it forgets the second. Keys are not
// expanded: Elasticsearch takes dotted names as they are, and a line with `error` and `error.type` would lose all that it says.
var decode = new processor.DecodeJSONFields({
    fields: ["@metadata.line"],
    target: "",
    overwrite_keys: true,  // the line's @timestamp and message are the document's
    add_error_key: true    // a @timestamp that is none is said in error.message; the document has the time of reading
});

// What Filebeat asks of an event's metadata when it sends it, and what is ours there. A line may bring "@metadata" of its own.
var METADATA = ["_id", "op_type", "index", "raw_index", "alias", "pipeline", "deadlettered", "dataset", "line", "file", "offset"];

function process(event) {
    // Here, not in fields of the event: the line may have fields of these names.
    var line = event.Get("message");
    var file = event.Get("log.file.path");
    var offset = event.Get("log.offset");
    if (typeof line !== "string") {
        return;
    }
    line = line.replace(/\n$/, "");  // Docker's has it
    // schema="flat" has 2026-11-21T14:40:01+0100, which Filebeat reads with a colon only.
    event.Put("@metadata.line", line.replace(/^(\{"@timestamp": "[^"]{19}[+-]\d\d)(\d\d")/, "$1:$2"));
    event.Delete("message");
    try {
        decode.Run(event);
    } catch (error) {
        event.Delete("error");
        event.Put("message", line);
        event.Put("error.message", "the line is not a JSON object");
        event.Put("event.kind", "pipeline_error");
        forget(event);
        event.Put("@metadata.dataset", "trackline.deadletter");
        identify(event, line, file, offset);
        return;
    }
    forget(event);  // a line must not say where it is stored, nor by which operation

    var id = event.Get("event.id");
    if (!usable(id)) {
        id = event.Get("attributes.log.record.uid");
    }
    if (usable(id)) {
        event.Put("@metadata._id", id);
    } else {
        identify(event, line, file, offset);
    }

    var service = event.Get("service.name");
    if (typeof service !== "string" || service === "") {
        service = event.Get("resource.service.name");
    }
    event.Put("@metadata.dataset", dataset(service));

    if (event.fields["host.name"] !== undefined) {
        event.Delete("host");  // Filebeat's
    }
}

// One by one: 7.17 deletes "@metadata" as a whole, 9 refuses to.
function forget(event) {
    for (var i = 0; i < METADATA.length; i++) {
        event.Delete("@metadata." + METADATA[i]);
    }
}

// What the fingerprint is made of. orders.log.2026-11-21 is the file that was orders.log.
function identify(event, line, file, offset) {
    event.Put("@metadata.line", line);
    event.Put("@metadata.file", String(file).replace(/\.log\..*$/, ".log"));
    event.Put("@metadata.offset", String(offset));
}

// A number of ours: other programs may give an event.id to more than one line, of which all but the first would be refused.
function usable(id) {
    return typeof id === "string" && /^[0-9a-f]{12}-[0-9]+$/.test(id);
}

// A data stream's dataset has no hyphen, and nothing that an index's name must not have.
function dataset(service) {
    if (typeof service !== "string" || service === "") {
        return "trackline";
    }
    return service.toLowerCase().replace(/[-\\\/*?"<>|,#:\s]/g, "_").slice(0, 100);
}
