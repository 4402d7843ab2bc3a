// What follows from a line: its data stream, and the _id by which it is stored once, however often it is sent.
// Filebeat's JavaScript is ECMAScript 5.1.

function process(event) {
    var line = event.Get("trackline_line");
    var file = event.Get("trackline_file");
    var offset = event.Get("trackline_offset");
    event.Delete("trackline_line");
    event.Delete("trackline_file");
    event.Delete("trackline_offset");

    // A line must not say where it is stored, nor by which operation.
    event.Delete("@metadata");

    // decode_json_fields has left `error` where it could not read the line; an array or a number it leaves alone.
    if (typeof line === "string" && (event.Get("error.field") === "trackline_line" || !/^\s*\{/.test(line))) {
        event.Delete("error");
        event.Put("message", line);
        event.Put("error.message", "the line is not a JSON object");
        event.Put("event.kind", "pipeline_error");
        event.Put("@metadata.dataset", "trackline.deadletter");
        identify(event, line, file, offset);
        return;
    }

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

// What the fingerprint is made of. orders.log.2026-11-21 is the file that was orders.log.
function identify(event, line, file, offset) {
    if (typeof line === "string") {
        event.Put("@metadata.line", line);
        event.Put("@metadata.file", String(file).replace(/\.log\..*$/, ".log"));
        event.Put("@metadata.offset", String(offset));
    }
}

// Elasticsearch takes up to 512 bytes.
function usable(id) {
    return typeof id === "string" && id.length > 0 && id.length <= 128;
}

// A data stream's dataset has no hyphen, and nothing that an index's name must not have.
function dataset(service) {
    if (typeof service !== "string" || service === "") {
        return "trackline";
    }
    return service.toLowerCase().replace(/[-\\\/*?"<>|,#:\s]/g, "_").slice(0, 100);
}
