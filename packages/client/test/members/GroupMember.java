import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * A member of a group by Kafka's own client, which prints what it does as memberMain.ts does. Arguments: bootstrap
 * servers, group, topic, assignor class, session timeout in milliseconds. SIGTERM makes it stop in order.
 */
public class GroupMember {
  private static String topic;

  private static synchronized void print(String what, String more) {
    System.out.println("{\"at\":" + System.nanoTime() / 1000 + ",\"what\":\"" + what + "\"" + more + "}");
    System.out.flush();
  }

  private static void printPartitions(String what, Collection<TopicPartition> partitions) {
    if (partitions.isEmpty()) return;
    String list = partitions.stream()
        .map(one -> "{\"topic\":\"" + one.topic() + "\",\"partition\":" + one.partition() + "}")
        .collect(Collectors.joining(","));
    print(what, ",\"partitions\":[" + list + "]");
  }

  private static void work(TopicPartition place, List<ConsumerRecord<String, String>> records) {
    List<String> offsets = new ArrayList<>();
    List<String> values = new ArrayList<>();
    for (ConsumerRecord<String, String> one : records) {
      offsets.add(String.valueOf(one.offset()));
      values.add("\"" + one.value() + "\"");
    }
    String where = ",\"topic\":\"" + place.topic() + "\",\"partition\":" + place.partition();
    print("begin", where + ",\"offsets\":[" + String.join(",", offsets) + "],\"values\":[" + String.join(",", values) + "]");
    print("done", where + ",\"last\":" + offsets.get(offsets.size() - 1));
  }

  public static void main(String[] args) throws Exception {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", args[0]);
    properties.put("group.id", args[1]);
    properties.put("partition.assignment.strategy", args[3]);
    properties.put("session.timeout.ms", args[4]);
    properties.put("heartbeat.interval.ms", "300");
    properties.put("auto.offset.reset", "earliest");
    properties.put("enable.auto.commit", "false");
    topic = args[2];
    KafkaConsumer<String, String> consumer =
        new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    Thread main = Thread.currentThread();
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      consumer.wakeup();
      try {
        main.join(10000);
      } catch (InterruptedException ignored) {
      }
    }));
    consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
      @Override
      public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        printPartitions("assigned", partitions);
      }

      @Override
      public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        printPartitions("revoked", partitions);
        consumer.commitSync();
      }

      @Override
      public void onPartitionsLost(Collection<TopicPartition> partitions) {
        printPartitions("lost", partitions);
      }
    });
    print("ready", "");
    try {
      while (true) {
        ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
        for (TopicPartition place : records.partitions()) work(place, records.records(place));
        try {
          if (!records.isEmpty()) consumer.commitSync();
        } catch (RebalanceInProgressException later) {
          print("log", ",\"text\":\"commits after the rebalance\"");
        }
      }
    } catch (WakeupException expected) {
      consumer.close();
      print("stopped", "");
    }
  }
}
