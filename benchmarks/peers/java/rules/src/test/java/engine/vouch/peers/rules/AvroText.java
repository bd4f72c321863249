package engine.vouch.peers.rules;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.AvroRuntimeException;
import org.apache.avro.Schema;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.IndexedRecord;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;

/** The records of a facts file, written and read by Avro's own library: a second opinion on what is written by hand. */
final class AvroText {
    static final Path ROOT = Path.of("../../../..").toAbsolutePath().normalize();
    static final ObjectMapper JSON = new ObjectMapper();

    private static final DateTimeFormatter INSTANT = DateTimeFormatter.ofPattern("uuuu-MM-dd'T'HH:mm:ss.SSS'Z'").withZone(ZoneOffset.UTC);

    private AvroText() {}

    static Schema schema(String name) throws IOException {
        return new Schema.Parser().parse(Files.readString(ROOT.resolve("schemas").resolve(name + ".avsc")));
    }

    /** Writes a JSON value; throws an AvroRuntimeException where it does not fit the schema. */
    static byte[] encode(Schema schema, long fingerprint, JsonNode value) throws IOException {
        Object datum = datum(schema, value);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        bytes.write(0xc3);
        bytes.write(1);
        for (int i = 0; i < 8; i++) {
            bytes.write((int) (fingerprint >>> 8 * i));
        }
        BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(bytes, null);
        new GenericDatumWriter<>(schema).write(datum, encoder);
        encoder.flush();
        return bytes.toByteArray();
    }

    /** Reads what follows the ten bytes of the header. */
    static JsonNode decode(Schema schema, byte[] value) throws IOException {
        Object datum = new GenericDatumReader<>(schema).read(null, DecoderFactory.get().binaryDecoder(value, 10, value.length - 10, null));
        return text(schema, datum);
    }

    private static AvroRuntimeException unfit(JsonNode value) {
        return new AvroRuntimeException("does not fit its schema: " + value);
    }

    private static Object datum(Schema schema, JsonNode value) {
        String logical = schema.getLogicalType() == null ? "" : schema.getLogicalType().getName();
        switch (schema.getType()) {
            case RECORD:
                return record(schema, value);
            case UNION:
                return value.isNull() ? null : datum(schema.getTypes().get(1), value);
            case MAP:
                Map<String, Object> map = new HashMap<>();
                value.properties().forEach(pair -> map.put(pair.getKey(), datum(schema.getValueType(), pair.getValue())));
                return map;
            case ENUM:
                if (!value.isTextual() || !schema.hasEnumSymbol(value.asText())) {
                    throw unfit(value);
                }
                return new GenericData.EnumSymbol(schema, value.asText());
            case STRING:
                if (!value.isTextual()) {
                    throw unfit(value);
                }
                return value.asText();
            case INT, LONG:
                if (logical.isEmpty() != value.isIntegralNumber()) {
                    throw unfit(value);
                }
                return number(logical, value);
            default:
                throw new IllegalStateException("no input has a " + schema.getType());
        }
    }

    private static Object number(String logical, JsonNode value) {
        try {
            return switch (logical) {
                case "date" -> (int) LocalDate.parse(value.asText()).toEpochDay();
                case "timestamp-millis" -> Instant.parse(value.asText()).toEpochMilli();
                default -> value.asLong();
            };
        } catch (java.time.DateTimeException e) {
            throw unfit(value);
        }
    }

    private static Object record(Schema schema, JsonNode value) {
        if (!value.isObject()) {
            throw unfit(value);
        }
        GenericData.Record record = new GenericData.Record(schema);
        List<String> unknown = new ArrayList<>();
        value.fieldNames().forEachRemaining(unknown::add);
        for (Schema.Field field : schema.getFields()) {
            unknown.remove(field.name());
            if (value.has(field.name())) {
                record.put(field.pos(), datum(field.schema(), value.get(field.name())));
            } else if (field.hasDefaultValue()) {
                record.put(field.pos(), GenericData.get().getDefaultValue(field));
            } else {
                throw unfit(value);
            }
        }
        if (!unknown.isEmpty()) {
            throw unfit(value);
        }
        return record;
    }

    private static JsonNode text(Schema schema, Object datum) {
        String logical = schema.getLogicalType() == null ? "" : schema.getLogicalType().getName();
        switch (schema.getType()) {
            case RECORD:
                ObjectNode record = JSON.createObjectNode();
                schema.getFields().forEach(field -> record.set(field.name(), text(field.schema(), ((IndexedRecord) datum).get(field.pos()))));
                return record;
            case UNION:
                return datum == null ? JSON.nullNode() : text(schema.getTypes().get(1), datum);
            case ARRAY:
                ArrayNode array = JSON.createArrayNode();
                ((List<?>) datum).forEach(element -> array.add(text(schema.getElementType(), element)));
                return array;
            default:
                return switch (logical) {
                    case "date" -> JSON.valueToTree(LocalDate.ofEpochDay((Integer) datum).toString());
                    case "timestamp-millis" -> JSON.valueToTree(INSTANT.format(Instant.ofEpochMilli((Long) datum)));
                    default -> JSON.valueToTree(datum instanceof Boolean ? datum : datum.toString());
                };
        }
    }
}
