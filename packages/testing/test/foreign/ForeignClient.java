import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Kafka's own client: `<bootstrap servers> <verb> <settings as JSON>`; prints lines of JSON. */
public class ForeignClient {
  private static String servers;
  private static String settings;

  private static String text(String name) {
    Matcher found = Pattern.compile("\"" + name + "\":\"?([^\",}]*)").matcher(settings);
    return found.find() ? found.group(1) : null;
  }

  private static int number(String name) {
    return Integer.parseInt(text(name));
  }

  private static synchronized void say(String line) {
    System.out.println(line);
    System.out.flush();
  }

  private static String quoted(Object value) {
    return "\"" + value + "\"";
  }

  private static Properties properties(String... more) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", servers);
    for (int index = 0; index < more.length; index += 2) properties.put(more[index], more[index + 1]);
    return properties;
  }

  private static KafkaProducer<String, String> producer(String... more) {
    return new KafkaProducer<>(properties(more), new StringSerializer(), new StringSerializer());
  }

  private static KafkaConsumer<String, String> consumer(String... more) {
    return new KafkaConsumer<>(properties(more), new StringDeserializer(), new StringDeserializer());
  }

  private static void produce() throws Exception {
    String idempotent = text("idempotent");
    try (KafkaProducer<String, String> producer =
        producer("compression.type", text("codec"), "enable.idempotence", idempotent, "linger.ms", "100")) {
      List<java.util.concurrent.Future<?>> sent = new ArrayList<>();
      for (int index = 0; index < number("count"); index++) {
        ProducerRecord<String, String> record =
            new ProducerRecord<>(text("topic"), "key " + index % 100, "value " + index);
        record.headers().add("number", String.valueOf(index).getBytes());
        sent.add(producer.send(record));
      }
      for (java.util.concurrent.Future<?> one : sent) one.get();
    }
    say("{\"written\":" + number("count") + "}");
  }

  private static void consume() {
    List<String> records = new ArrayList<>();
    try (KafkaConsumer<String, String> consumer =
        consumer("enable.auto.commit", "false", "isolation.level", text("isolation"))) {
      List<TopicPartition> places = new ArrayList<>();
      for (int partition = 0; partition < number("partitions"); partition++) {
        places.add(new TopicPartition(text("topic"), partition));
      }
      consumer.assign(places);
      consumer.seekToBeginning(places);
      Map<TopicPartition, Long> ends = consumer.endOffsets(places);
      // to the end of every partition, so that what should not be there would be seen
      while (places.stream().anyMatch(place -> consumer.position(place) < ends.get(place))) {
        for (ConsumerRecord<String, String> one : consumer.poll(Duration.ofMillis(200))) {
          records.add("[" + one.partition() + "," + quoted(one.key()) + "," + quoted(one.value()) + "]");
        }
      }
    }
    say("{\"records\":[" + String.join(",", records) + "]}");
  }

  private static volatile boolean isStopping = false;

  private static void member() {
    String[] classic = {
      "session.timeout.ms", "10000", "heartbeat.interval.ms", "300",
      "partition.assignment.strategy", "org.apache.kafka.clients.consumer.RangeAssignor"
    };
    List<String> more = new ArrayList<>(List.of(
        "group.id", text("group"), "group.protocol", text("protocol"), "auto.offset.reset", "earliest",
        "enable.auto.commit", "false", "fetch.max.wait.ms", "100"));
    if (text("protocol").equals("classic")) more.addAll(List.of(classic));
    KafkaConsumer<String, String> consumer = consumer(more.toArray(new String[0]));
    // a process that a signal ends is to end well
    sun.misc.Signal.handle(new sun.misc.Signal("TERM"), signal -> {
      isStopping = true;
      consumer.wakeup();
    });
    Set<Integer> owned = new TreeSet<>();
    consumer.subscribe(List.of(text("topic")), new ConsumerRebalanceListener() {
      @Override
      public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        for (TopicPartition one : partitions) owned.add(one.partition());
        say("{\"owned\":" + owned + "}");
      }

      @Override
      public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        for (TopicPartition one : partitions) owned.remove(one.partition());
        say("{\"owned\":" + owned + "}");
      }
    });
    try {
      while (!isStopping) {
        ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
        for (ConsumerRecord<String, String> one : records) {
          say("{\"read\":[" + one.partition() + "," + quoted(one.value()) + "]}");
        }
        if (!records.isEmpty()) consumer.commitSync();
      }
    } catch (WakeupException expected) {
      // it is to stop
    }
    consumer.close();
  }

  private static void transaction() throws Exception {
    try (KafkaProducer<String, String> producer = producer("transactional.id", text("transactionalId"));
        KafkaConsumer<String, String> consumer =
            consumer("group.id", text("group"), "auto.offset.reset", "earliest", "enable.auto.commit", "false")) {
      consumer.subscribe(List.of(text("from")));
      producer.initTransactions();
      producer.beginTransaction();
      int read = 0;
      Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
      while (read < number("count")) {
        for (ConsumerRecord<String, String> one : consumer.poll(Duration.ofMillis(200))) {
          producer.send(new ProducerRecord<>(text("to"), one.key(), "done " + one.value()));
          offsets.put(new TopicPartition(one.topic(), one.partition()), new OffsetAndMetadata(one.offset() + 1));
          read++;
        }
      }
      producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
      producer.commitTransaction();
      producer.beginTransaction();
      for (int index = 0; index < 50; index++) {
        producer.send(new ProducerRecord<>(text("to"), "key " + index, "aborted " + index)).get();
      }
      producer.abortTransaction();
      say("{\"read\":[0,\"" + read + "\"]}");
    }
  }

  private static String committed(Admin admin, String group) throws Exception {
    Map<Integer, Long> all = new TreeMap<>();
    admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get()
        .forEach((place, one) -> all.put(place.partition(), one.offset()));
    return all.entrySet().stream()
        .map(one -> "\"" + one.getKey() + "\":" + one.getValue()).collect(Collectors.joining(",", "{", "}"));
  }

  private static TopicDescription described(Admin admin, String topic) throws Exception {
    return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
  }

  private static List<String> groups(Admin admin) throws Exception {
    return admin.listGroups().all().get().stream().map(one -> quoted(one.groupId())).collect(Collectors.toList());
  }

  private static void administer() throws Exception {
    String topic = text("topic");
    String group = text("group");
    TopicPartition first = new TopicPartition(text("source"), 0);
    TopicPartition second = new TopicPartition(text("source"), 1);
    List<String> report = new ArrayList<>();
    try (Admin admin = Admin.create(properties())) {
      NewTopic made = new NewTopic(topic, 3, (short) 2);
      admin.createTopics(List.of(made)).all().get();
      Set<String> names = admin.listTopics().names().get();
      report.add("\"created\":" + (names.contains(topic) ? "[" + quoted(topic) + "]" : "[]"));
      try {
        admin.createTopics(List.of(made)).all().get();
      } catch (ExecutionException error) {
        report.add("\"createdAgain\":" + quoted(Errors.forException(error.getCause()).name()));
      }
      report.add("\"partitions\":" + described(admin, topic).partitions().size());
      report.add("\"replicas\":" + described(admin, topic).partitions().get(0).replicas().size());
      admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
      report.add("\"partitionsAdded\":" + described(admin, topic).partitions().size());
      admin.alterConsumerGroupOffsets(
          group, Map.of(first, new OffsetAndMetadata(10), second, new OffsetAndMetadata(20))).all().get();
      report.add("\"offsets\":" + committed(admin, group));
      admin.alterConsumerGroupOffsets(group, Map.of(first, new OffsetAndMetadata(5))).all().get();
      report.add("\"offsetsAltered\":" + committed(admin, group));
      report.add("\"groups\":" + groups(admin));
      Object state = admin.describeConsumerGroups(List.of(group)).all().get().get(group).groupState();
      report.add("\"groupState\":" + quoted(state));
      report.add("\"lowWatermark\":" + admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(15)))
          .lowWatermarks().get(first).get().lowWatermark());
      report.add("\"earliest\":" + admin.listOffsets(Map.of(first, OffsetSpec.earliest())).partitionResult(first).get().offset());
      report.add("\"latest\":" + admin.listOffsets(Map.of(first, OffsetSpec.latest())).partitionResult(first).get().offset());
      admin.deleteConsumerGroups(List.of(group)).all().get();
      report.add("\"groupDeleted\":" + groups(admin).isEmpty());
      admin.deleteTopics(List.of(topic)).all().get();
      report.add("\"deleted\":" + !admin.listTopics().names().get().contains(topic));
    }
    say("{" + String.join(",", report) + "}");
  }

  private static String retention(Admin admin, ConfigResource resource) throws Exception {
    return admin.describeConfigs(List.of(resource)).all().get().get(resource).get("retention.ms").value();
  }

  private static void configs() throws Exception {
    try (Admin admin = Admin.create(properties())) {
      ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, text("topic"));
      NewTopic made = new NewTopic(text("topic"), 1, (short) 1).configs(Map.of("retention.ms", "60000"));
      admin.createTopics(List.of(made)).all().get();
      String created = retention(admin, resource);
      AlterConfigOp change = new AlterConfigOp(new ConfigEntry("retention.ms", "120000"), AlterConfigOp.OpType.SET);
      admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
      say("{\"created\":" + quoted(created) + ",\"altered\":" + quoted(retention(admin, resource)) + "}");
    }
  }

  public static void main(String[] args) throws Exception {
    servers = args[0];
    settings = args[2];
    switch (args[1]) {
      case "produce" -> produce();
      case "consume" -> consume();
      case "member" -> member();
      case "transaction" -> transaction();
      case "admin" -> administer();
      case "configs" -> configs();
      default -> throw new IllegalArgumentException(args[1]);
    }
  }
}
