import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.jar.JarFile;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.InvalidMetadataException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.SimpleRecord;
import org.apache.kafka.common.utils.internals.BufferSupplier;
import org.apache.kafka.common.utils.internals.ByteBufferOutputStream;

/**
 * Kafka's own classes behind a pipe. Arguments: name and class path of each release; the first release is also the one
 * that this program itself runs on.
 *
 * A request on standard input is a length (int32), an operation (one byte) and its parameters; the reply on standard
 * output is a length, a status (0 done, 1 failed) and the result, or the exception as text. Replies come in the order of
 * the requests. Strings have a two-byte length, byte arrays and JSON texts a four-byte length in front.
 */
public final class Oracle {
  // An older Jackson knows only this way to say it, and both releases share the code.
  @SuppressWarnings("deprecation")
  static final ObjectMapper JSON =
      new ObjectMapper().configure(JsonParser.Feature.ALLOW_NON_NUMERIC_NUMBERS, true);

  public static void main(String[] arguments) throws Exception {
    Map<String, Release> releases = new HashMap<>();
    for (int index = 0; index < arguments.length; index += 2) {
      ClassLoader loader = index == 0 ? Oracle.class.getClassLoader() : isolated(arguments[index + 1]);
      releases.put(arguments[index], new Release(arguments[index + 1], loader));
    }
    DataInputStream input = new DataInputStream(new BufferedInputStream(System.in, 1 << 16));
    DataOutputStream output = new DataOutputStream(new BufferedOutputStream(System.out, 1 << 16));
    while (true) {
      if (input.available() == 0) output.flush();
      int length;
      try {
        length = input.readInt();
      } catch (java.io.EOFException end) {
        return;
      }
      byte[] frame = input.readNBytes(length);
      byte[] result;
      int status = 0;
      try {
        result = answer(releases, ByteBuffer.wrap(frame));
      } catch (Throwable error) {
        status = 1;
        result = describe(error).getBytes(StandardCharsets.UTF_8);
      }
      output.writeInt(result.length + 1);
      output.writeByte(status);
      output.write(result);
    }
  }

  static ClassLoader isolated(String classPath) throws Exception {
    String[] jars = classPath.split(File.pathSeparator);
    URL[] urls = new URL[jars.length];
    for (int index = 0; index < jars.length; index++) urls[index] = new File(jars[index]).toURI().toURL();
    return new URLClassLoader(urls, ClassLoader.getPlatformClassLoader());
  }

  /** The class and message of the exception that counts in the first line, its stack below. */
  static String describe(Throwable error) {
    Throwable cause = error;
    while (cause instanceof InvocationTargetException && cause.getCause() != null) cause = cause.getCause();
    StringWriter text = new StringWriter();
    cause.printStackTrace(new PrintWriter(text));
    return text.toString();
  }

  static byte[] answer(Map<String, Release> releases, ByteBuffer request) throws Exception {
    char operation = (char) request.get();
    switch (operation) {
      case 'E': {
        Release release = releases.get(string(request));
        return release.encode(string(request), request.getShort(), bytes(request));
      }
      case 'D': {
        Release release = releases.get(string(request));
        return release.decode(string(request), request.getShort(), bytes(request));
      }
      case 'N': {
        Release release = releases.get(string(request));
        return release.encodeDefault(string(request), request.getShort());
      }
      case 'V':
        return JSON.writeValueAsBytes(releases.get(string(request)).versions());
      case 'X':
        return JSON.writeValueAsBytes(errors());
      case 'R':
        return Batches.build(JSON.readTree(bytes(request)));
      case 'P':
        return JSON.writeValueAsBytes(Batches.parse(ByteBuffer.wrap(bytes(request))));
      case 'U':
        return Batches.decompress(string(request), request.get(), bytes(request));
      default:
        throw new IllegalArgumentException("There is no operation " + operation);
    }
  }

  static String string(ByteBuffer request) {
    byte[] text = new byte[request.getShort()];
    request.get(text);
    return new String(text, StandardCharsets.UTF_8);
  }

  static byte[] bytes(ByteBuffer request) {
    byte[] found = new byte[request.getInt()];
    request.get(found);
    return found;
  }

  static String base64(ByteBuffer buffer) {
    byte[] found = new byte[buffer.remaining()];
    buffer.duplicate().get(found);
    return Base64.getEncoder().encodeToString(found);
  }

  static ArrayNode errors() {
    ArrayNode errors = JSON.createArrayNode();
    for (Errors error : Errors.values()) {
      Exception exception = error.exception();
      errors.addObject()
          .put("code", error.code())
          .put("name", error.name())
          .put("isRetriable", exception instanceof RetriableException)
          .put("invalidatesMetadata", exception instanceof InvalidMetadataException);
    }
    return errors;
  }

  /** The generated messages of one release, by reflection: each release has its own class loader. */
  static final class Release {
    private final ClassLoader loader;
    private final Map<String, Converter> converters = new TreeMap<>();
    private final Object mapper;
    private final Method readTree;
    private final Method writeJson;
    private final Class<?> message;
    private final Method size;
    private final Method write;
    private final Method read;
    private final Method unknownTaggedFields;
    private final Constructor<?> cache;
    private final Constructor<?> accessor;
    private final Constructor<?> rawTaggedField;
    private final Method rawTag;
    private final Method rawData;
    private final Map<String, Method> getters = new HashMap<>();

    Release(String classPath, ClassLoader loader) throws Exception {
      this.loader = loader;
      String protocol = "org.apache.kafka.common.protocol.";
      Class<?> mapperClass = loader.loadClass(ObjectMapper.class.getName());
      Class<?> feature = loader.loadClass(JsonParser.Feature.class.getName());
      mapper = mapperClass.getConstructor().newInstance();
      mapperClass.getMethod("configure", feature, boolean.class)
          .invoke(mapper, feature.getField("ALLOW_NON_NUMERIC_NUMBERS").get(null), true);
      readTree = mapperClass.getMethod("readTree", byte[].class);
      writeJson = mapperClass.getMethod("writeValueAsBytes", Object.class);
      message = loader.loadClass(protocol + "Message");
      Class<?> cacheClass = loader.loadClass(protocol + "ObjectSerializationCache");
      Class<?> accessorClass = loader.loadClass(protocol + "ByteBufferAccessor");
      size = message.getMethod("size", cacheClass, short.class);
      write = message.getMethod("write", loader.loadClass(protocol + "Writable"), cacheClass, short.class);
      read = message.getMethod("read", loader.loadClass(protocol + "Readable"), short.class);
      unknownTaggedFields = message.getMethod("unknownTaggedFields");
      cache = cacheClass.getConstructor();
      accessor = accessorClass.getConstructor(ByteBuffer.class);
      Class<?> raw = loader.loadClass(protocol + "types.RawTaggedField");
      rawTaggedField = raw.getConstructor(int.class, byte[].class);
      rawTag = raw.getMethod("tag");
      rawData = raw.getMethod("data");
      for (String jar : classPath.split(File.pathSeparator)) findConverters(jar);
    }

    /** What stands between a message and its JSON; the name is that of the definition. */
    private void findConverters(String jar) throws Exception {
      if (!jar.matches(".*/kafka-(clients|group-coordinator|transaction-coordinator)-\\d[^/]*\\.jar")) return;
      String ending = "JsonConverter.class";
      try (JarFile file = new JarFile(jar)) {
        for (var entries = file.entries(); entries.hasMoreElements(); ) {
          String entry = entries.nextElement().getName();
          if (!entry.endsWith(ending) || entry.contains("$")) continue;
          String name = entry.substring(0, entry.length() - ending.length()).replace('/', '.');
          Converter converter = new Converter(loader, name);
          String simple = name.substring(name.lastIndexOf('.') + 1);
          // DefaultPrincipalData is the name of a definition; the other suffixes are the generator's.
          boolean isSuffixed = simple.endsWith("Data") && !simple.equals("DefaultPrincipalData");
          converters.put(isSuffixed ? simple.substring(0, simple.length() - 4) : simple, converter);
        }
      }
    }

    private Converter converter(String name, short version) throws Exception {
      Converter converter = converters.get(name);
      if (converter == null) throw new IllegalArgumentException("This release has no message " + name);
      // The classes themselves would take the nearest layout in silence.
      if (version < converter.lowest || version > converter.highest)
        throw new IllegalArgumentException("This release has no version " + version + " of " + name);
      return converter;
    }

    byte[] encode(String name, short version, byte[] json) throws Exception {
      Converter converter = converter(name, version);
      Object node = readTree.invoke(mapper, (Object) json);
      Object built = converter.read.invoke(null, node, version);
      // The converters know nothing of tags that they do not know: a second pass puts them in.
      addUnknown(JSON.readTree(json), built);
      return write(built, version);
    }

    byte[] encodeDefault(String name, short version) throws Exception {
      return write(converter(name, version).message.newInstance(), version);
    }

    private byte[] write(Object built, short version) throws Exception {
      Object sizes = cache.newInstance();
      int length = (Integer) size.invoke(built, sizes, version);
      ByteBuffer buffer = ByteBuffer.allocate(length);
      write.invoke(built, accessor.newInstance(buffer), sizes, version);
      if (buffer.hasRemaining()) throw new IllegalStateException(buffer.remaining() + " bytes fewer than announced");
      return buffer.array();
    }

    /** The bytes left over (int32), the bytes written again (length and bytes), the JSON text (the rest). */
    byte[] decode(String name, short version, byte[] found) throws Exception {
      Converter converter = converter(name, version);
      Object built = converter.message.newInstance();
      ByteBuffer buffer = ByteBuffer.wrap(found);
      read.invoke(built, accessor.newInstance(buffer), version);
      byte[] again = write(built, version);
      // The trees of two releases are different classes: text is what they share.
      JsonNode json = JSON.readTree((byte[]) writeJson.invoke(mapper, converter.write.invoke(null, built, version)));
      addHidden(json, built);
      byte[] text = JSON.writeValueAsBytes(json);
      return ByteBuffer.allocate(8 + again.length + text.length)
          .putInt(buffer.remaining()).putInt(again.length).put(again).put(text).array();
    }

    private static final String UNKNOWN = "_unknownTaggedFields";

    private void addUnknown(JsonNode json, Object struct) throws Exception {
      if (struct == null || !json.isObject()) return;
      if (json.has(UNKNOWN)) {
        @SuppressWarnings("unchecked")
        List<Object> list = (List<Object>) unknownTaggedFields.invoke(struct);
        for (JsonNode field : json.get(UNKNOWN))
          list.add(rawTaggedField.newInstance(field.get("tag").asInt(), field.get("data").binaryValue()));
      }
      for (Iterator<String> names = json.fieldNames(); names.hasNext(); ) {
        String name = names.next();
        JsonNode inner = json.get(name);
        if (inner.isObject()) addUnknown(inner, get(struct, name));
        else if (inner.size() > 0 && inner.get(0).isObject() && !name.equals(UNKNOWN)) {
          Iterator<?> items = ((Iterable<?>) get(struct, name)).iterator();
          for (JsonNode item : inner) addUnknown(item, items.next());
        }
      }
    }

    /**
     * Puts into the JSON what the converters leave out: unknown tagged fields, the content of records, and the defaults
     * of fields that are not there.
     */
    private void addHidden(JsonNode json, Object struct) throws Exception {
      ObjectNode object = (ObjectNode) json;
      List<String> names = new ArrayList<>();
      object.fieldNames().forEachRemaining(names::add);
      for (String name : names) {
        JsonNode inner = object.get(name);
        if (inner.isObject()) addHidden(inner, get(struct, name));
        else if (inner.isArray() && inner.size() > 0 && inner.get(0).isObject()) {
          Iterator<?> items = ((Iterable<?>) get(struct, name)).iterator();
          for (JsonNode item : inner) addHidden(item, items.next());
        } else if (inner.isTextual() && inner.asText().isEmpty()) {
          Object value = get(struct, name);
          if (value.getClass().getSimpleName().equals("MemoryRecords"))
            object.put(name, base64((ByteBuffer) value.getClass().getMethod("buffer").invoke(value)));
        }
      }
      for (Field field : struct.getClass().getDeclaredFields()) {
        String name = field.getName();
        if (Modifier.isStatic(field.getModifiers()) || object.has(name)) continue;
        // next and prev are links of collections that look up by key
        if (name.equals(UNKNOWN) || name.equals("next") || name.equals("prev")) continue;
        object.set(name, plain(get(struct, name)));
      }
      List<?> unknown = (List<?>) unknownTaggedFields.invoke(struct);
      if (unknown.isEmpty()) return;
      ArrayNode list = object.putArray(UNKNOWN);
      for (Object field : unknown)
        list.addObject().put("tag", (Integer) rawTag.invoke(field)).put("data", (byte[]) rawData.invoke(field));
    }

    /** The value of a field that has its default: one that the version lacks, or that is tagged and not sent. */
    private JsonNode plain(Object value) throws Exception {
      if (value == null) return JSON.nullNode();
      if (value instanceof Boolean || value instanceof Number || value instanceof String) return JSON.valueToTree(value);
      if (value.getClass().getSimpleName().equals("Uuid")) return JSON.valueToTree(value.toString());
      if (value instanceof byte[] || value instanceof ByteBuffer) return JSON.valueToTree("");
      if (value instanceof Iterable) return JSON.createArrayNode();
      ObjectNode struct = JSON.createObjectNode();
      addHidden(struct, value);
      return struct;
    }

    private Object get(Object struct, String name) throws Exception {
      String key = struct.getClass().getName() + "." + name;
      Method getter = getters.get(key);
      if (getter == null) {
        getter = struct.getClass().getMethod(name);
        getters.put(key, getter);
      }
      return getter.invoke(struct);
    }

    /** All messages with their versions, and all APIs with their header versions and the newest stable version. */
    ObjectNode versions() throws Exception {
      ObjectNode result = JSON.createObjectNode();
      ObjectNode messages = result.putObject("messages");
      converters.forEach((name, found) -> messages.putArray(name).add(found.lowest).add(found.highest));
      ObjectNode apis = result.putObject("apis");
      Class<?> apiKeys = loader.loadClass("org.apache.kafka.common.protocol.ApiKeys");
      for (Object api : apiKeys.getEnumConstants()) {
        Object type = apiKeys.getField("messageType").get(api);
        short lowest = (Short) type.getClass().getMethod("lowestSupportedVersion").invoke(type);
        Method highestOf = type.getClass().getMethod("highestSupportedVersion", boolean.class);
        short highest = (Short) highestOf.invoke(type, true);
        // The APIs that are gone keep their keys.
        if (highest < lowest) continue;
        ObjectNode entry = apis.putObject(String.valueOf(apiKeys.getField("id").get(api)));
        entry.put("name", String.valueOf(apiKeys.getField("name").get(api)));
        entry.put("lowest", lowest).put("highest", highest).put("stable", (Short) highestOf.invoke(type, false));
        ArrayNode request = entry.putArray("requestHeaders");
        ArrayNode response = entry.putArray("responseHeaders");
        for (short version = lowest; version <= highest; version++) {
          request.add((Short) apiKeys.getMethod("requestHeaderVersion", short.class).invoke(api, version));
          response.add((Short) apiKeys.getMethod("responseHeaderVersion", short.class).invoke(api, version));
        }
      }
      return result;
    }
  }

  /** One message class and its JSON converter. */
  static final class Converter {
    final Constructor<?> message;
    final Method read;
    final Method write;
    final short lowest;
    final short highest;

    Converter(ClassLoader loader, String name) throws Exception {
      Class<?> node = loader.loadClass(JsonNode.class.getName());
      Class<?> type = loader.loadClass(name);
      Class<?> converter = loader.loadClass(name + "JsonConverter");
      message = type.getConstructor();
      read = converter.getMethod("read", node, short.class);
      write = converter.getMethod("write", type, short.class);
      lowest = type.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
      highest = type.getField("HIGHEST_SUPPORTED_VERSION").getShort(null);
    }
  }

  /** Record batches and message sets: descriptions in JSON to bytes and back. */
  static final class Batches {
    static byte[] build(JsonNode batch) {
      if (batch.get("records").isEmpty()) return buildEmpty(batch);
      JsonNode horizon = batch.get("deleteHorizon");
      ByteBufferOutputStream output = new ByteBufferOutputStream(1024);
      MemoryRecordsBuilder builder = new MemoryRecordsBuilder(
          output,
          (byte) batch.get("magic").asInt(),
          Compression.of(batch.get("compression").asText()).build(),
          TimestampType.forName(batch.get("timestampType").asText()),
          batch.get("baseOffset").asLong(),
          batch.get("logAppendTime").asLong(),
          batch.get("producerId").asLong(),
          (short) batch.get("producerEpoch").asInt(),
          batch.get("baseSequence").asInt(),
          batch.get("isTransactional").asBoolean(),
          batch.get("isControl").asBoolean(),
          batch.get("partitionLeaderEpoch").asInt(),
          Integer.MAX_VALUE,
          horizon.isNull() ? -1L : horizon.asLong());
      for (JsonNode record : batch.get("records")) append(builder, batch, record);
      ByteBuffer built = builder.build().buffer();
      byte[] bytes = new byte[built.remaining()];
      built.get(bytes);
      return bytes;
    }

    /** What compaction leaves where all records of a batch are gone, so that the sequence is not forgotten. */
    private static byte[] buildEmpty(JsonNode batch) {
      ByteBuffer buffer = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
      DefaultRecordBatch.writeEmptyHeader(
          buffer,
          (byte) batch.get("magic").asInt(),
          batch.get("producerId").asLong(),
          (short) batch.get("producerEpoch").asInt(),
          batch.get("baseSequence").asInt(),
          batch.get("baseOffset").asLong(),
          batch.get("lastOffset").asLong(),
          batch.get("partitionLeaderEpoch").asInt(),
          TimestampType.forName(batch.get("timestampType").asText()),
          batch.get("logAppendTime").asLong(),
          batch.get("isTransactional").asBoolean(),
          batch.get("isControl").asBoolean());
      return buffer.array();
    }

    private static void append(MemoryRecordsBuilder builder, JsonNode batch, JsonNode record) {
      long timestamp = record.get("timestamp").asLong();
      JsonNode marker = record.get("marker");
      if (marker != null) {
        ControlRecordType type = ControlRecordType.valueOf(marker.get("type").asText());
        builder.appendEndTxnMarker(timestamp, new EndTransactionMarker(type, marker.get("coordinatorEpoch").asInt()));
        return;
      }
      JsonNode given = record.get("headers");
      Header[] headers = new Header[given.size()];
      for (int index = 0; index < headers.length; index++)
        headers[index] = new RecordHeader(given.get(index).get("key").asText(), binary(given.get(index).get("value")));
      SimpleRecord simple = new SimpleRecord(timestamp, binary(record.get("key")), binary(record.get("value")), headers);
      long offset = record.get("offset").asLong();
      if (batch.get("isControl").asBoolean()) builder.appendControlRecordWithOffset(offset, simple);
      else builder.appendWithOffset(offset, simple);
    }

    private static byte[] binary(JsonNode node) {
      return node.isNull() ? null : Base64.getDecoder().decode(node.asText());
    }

    static ArrayNode parse(ByteBuffer bytes) {
      ArrayNode batches = JSON.createArrayNode();
      for (MutableRecordBatch batch : MemoryRecords.readableRecords(bytes).batches()) {
        boolean isLegacy = batch.magic() < 2;
        ObjectNode found = batches.addObject()
            .put("magic", batch.magic())
            .put("compression", batch.compressionType().name)
            .put("timestampType", batch.timestampType().name)
            .put("baseOffset", batch.baseOffset())
            .put("lastOffset", batch.lastOffset())
            .put("maxTimestamp", batch.maxTimestamp())
            .put("producerId", batch.producerId())
            .put("producerEpoch", batch.producerEpoch())
            .put("baseSequence", batch.baseSequence())
            .put("isTransactional", batch.isTransactional())
            .put("isControl", batch.isControlBatch())
            .put("partitionLeaderEpoch", batch.partitionLeaderEpoch())
            .put("deleteHorizon", batch.deleteHorizonMs().isPresent() ? batch.deleteHorizonMs().getAsLong() : null)
            .put("sizeInBytes", batch.sizeInBytes())
            .put("isLegacy", isLegacy)
            .put("isValid", batch.isValid());
        batch.ensureValid();
        ArrayNode records = found.putArray("records");
        for (Record record : batch) describe(record, records.addObject());
      }
      return batches;
    }

    private static void describe(Record record, ObjectNode found) {
      record.ensureValid();
      found.put("offset", record.offset());
      found.put("timestamp", record.timestamp());
      found.put("key", record.hasKey() ? base64(record.key()) : null);
      found.put("value", record.hasValue() ? base64(record.value()) : null);
      ArrayNode headers = found.putArray("headers");
      for (Header header : record.headers())
        headers.addObject().put("key", header.key())
            .put("value", header.value() == null ? null : base64(ByteBuffer.wrap(header.value())));
    }

    static byte[] decompress(String type, byte magic, byte[] bytes) throws Exception {
      Compression compression = Compression.of(CompressionType.forName(type)).build();
      ByteArrayOutputStream output = new ByteArrayOutputStream();
      try (InputStream input = compression.wrapForInput(ByteBuffer.wrap(bytes), magic, BufferSupplier.create())) {
        input.transferTo(output);
      }
      return output.toByteArray();
    }
  }
}
