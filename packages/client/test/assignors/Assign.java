import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Assignment;
import org.apache.kafka.clients.consumer.ConsumerPartitionAssignor.Subscription;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.consumer.RoundRobinAssignor;
import org.apache.kafka.clients.consumer.StickyAssignor;
import org.apache.kafka.clients.consumer.internals.AbstractPartitionAssignor;
import org.apache.kafka.clients.consumer.internals.ConsumerProtocol;
import org.apache.kafka.common.TopicPartition;

/** Reads scenarios, a line per topic and per member and one that ends it; writes a line of assignments for each. */
public class Assign {
    private static final Map<String, Integer> counts = new TreeMap<>();
    private static final Map<String, Subscription> eager = new LinkedHashMap<>();
    private static final Map<String, Subscription> cooperative = new LinkedHashMap<>();
    private static String bytes = "";

    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var out = new StringBuilder();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] parts = line.split(" ", -1);
            if (parts[0].equals("topic")) counts.put(parts[1], Integer.parseInt(parts[2]));
            else if (parts[0].equals("member")) member(parts);
            else {
                out.append(String.join(" ", draw(new RangeAssignor(), cooperative), draw(new RoundRobinAssignor(), cooperative),
                    draw(new StickyAssignor(), eager), draw(new CooperativeStickyAssignor(), cooperative), bytes)).append('\n');
                counts.clear();
                eager.clear();
                cooperative.clear();
                bytes = "";
            }
        }
        System.out.write(out.toString().getBytes(StandardCharsets.UTF_8));
        System.out.flush();
    }

    /** Id, name of a static member, generation, topics, partitions. */
    private static void member(String[] parts) {
        Optional<String> instance = parts[2].isEmpty() ? Optional.empty() : Optional.of(parts[2]);
        int generation = Integer.parseInt(parts[3]);
        List<String> topics = Arrays.asList(parts[4].split(","));
        List<TopicPartition> owned = new ArrayList<>();
        for (String each : parts[5].isEmpty() ? new String[0] : parts[5].split(",")) {
            int colon = each.indexOf(':');
            owned.add(new TopicPartition(each.substring(0, colon), Integer.parseInt(each.substring(colon + 1))));
        }
        ByteBuffer userData = null;
        var assignment = new Assignment(owned);
        @SuppressWarnings("removal")
        var metadata = new ConsumerGroupMetadata("group", generation, parts[1], instance);
        var sticky = new StickyAssignor();
        if (!owned.isEmpty()) {
            sticky.onAssignment(assignment, metadata);
            userData = sticky.subscriptionUserData(null);
        }
        var cooperativeSticky = new CooperativeStickyAssignor();
        cooperativeSticky.onAssignment(assignment, metadata);
        var stopped = new Subscription(topics, userData);
        var going = new Subscription(topics, cooperativeSticky.subscriptionUserData(null), owned, generation, Optional.empty());
        stopped.setGroupInstanceId(instance);
        going.setGroupInstanceId(instance);
        if (eager.isEmpty()) {
            var placed = new Subscription(topics, cooperativeSticky.subscriptionUserData(null), owned, generation, instance);
            bytes = String.join(" ", hex(ConsumerProtocol.serializeSubscription(placed)),
                hex(ConsumerProtocol.serializeAssignment(assignment)), userData == null ? "" : hex(userData.duplicate()));
        }
        eager.put(parts[1], stopped);
        cooperative.put(parts[1], going);
    }

    private static String draw(AbstractPartitionAssignor assignor, Map<String, Subscription> members) {
        Map<String, Integer> subscribed = new TreeMap<>(counts);
        subscribed.keySet().removeIf(topic -> members.values().stream().noneMatch(member -> member.topics().contains(topic)));
        Map<String, List<TopicPartition>> assignment;
        try {
            assignment = assignor.assign(subscribed, members);
        } catch (NullPointerException failure) {
            // The sticky ones throw for some groups whose subscriptions differ.
            return "-";
        }
        Map<TopicPartition, String> owners = new LinkedHashMap<>();
        int place = 0;
        for (String member : members.keySet()) {
            for (TopicPartition each : assignment.get(member)) owners.put(each, Integer.toString(place, 36));
            place++;
        }
        var text = new StringBuilder();
        subscribed.forEach((topic, count) -> {
            for (int at = 0; at < count; at++) text.append(owners.getOrDefault(new TopicPartition(topic, at), "."));
        });
        return text.toString();
    }

    private static String hex(ByteBuffer buffer) {
        byte[] copy = new byte[buffer.remaining()];
        buffer.get(copy);
        return HexFormat.of().formatHex(copy);
    }
}
