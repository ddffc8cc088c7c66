// franz-go: `<bootstrap servers> <verb> <settings as JSON>`; prints lines of JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type settings struct {
	Topic, Codec, Isolation, Group, Protocol, From, To, TransactionalId, Source string
	Idempotent                                                                  bool
	Count, Partitions                                                           int
}

func say(what map[string]any) {
	line, err := json.Marshal(what)
	must(err)
	fmt.Println(string(line))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func connect(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(strings.Split(os.Args[1], ",")...))...)
	must(err)
	return client
}

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

func produce(ctx context.Context, given settings) {
	client := connect(kgo.ProducerBatchCompression(codecs[given.Codec]), kgo.ProducerLinger(100*time.Millisecond))
	defer client.Close()
	for index := range given.Count {
		record := &kgo.Record{
			Topic:   given.Topic,
			Key:     fmt.Appendf(nil, "key %d", index%100),
			Value:   fmt.Appendf(nil, "value %d", index),
			Headers: []kgo.RecordHeader{{Key: "number", Value: []byte(strconv.Itoa(index))}},
		}
		client.Produce(ctx, record, func(_ *kgo.Record, err error) { must(err) })
	}
	must(client.Flush(ctx))
	say(map[string]any{"written": given.Count})
}

func consume(ctx context.Context, given settings) {
	isolation := kgo.ReadUncommitted()
	if given.Isolation == "read_committed" {
		isolation = kgo.ReadCommitted()
	}
	places := map[int32]kgo.Offset{}
	for partition := range given.Partitions {
		places[int32(partition)] = kgo.NewOffset().AtStart()
	}
	client := connect(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{given.Topic: places}),
		kgo.FetchIsolationLevel(isolation), kgo.FetchMaxWait(100*time.Millisecond),
	)
	defer client.Close()
	records := [][]any{}
	for quiet := 0; len(records) < given.Count || quiet < 5; quiet++ {
		// a little longer than what is wanted, so that what should not be there would be seen
		moment, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := client.PollFetches(moment)
		cancel()
		fetches.EachRecord(func(one *kgo.Record) {
			quiet = 0
			records = append(records, []any{one.Partition, string(one.Key), string(one.Value)})
		})
	}
	say(map[string]any{"records": records})
}

func member(ctx context.Context, given settings) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	var lock sync.Mutex
	owned := map[int32]bool{}
	change := func(isOwned bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			lock.Lock()
			defer lock.Unlock()
			for _, partition := range partitions[given.Topic] {
				if isOwned {
					owned[partition] = true
				} else {
					delete(owned, partition)
				}
			}
			list := []int32{}
			for partition := range owned {
				list = append(list, partition)
			}
			sort.Slice(list, func(a, b int) bool { return list[a] < list[b] })
			say(map[string]any{"owned": list})
		}
	}
	client := connect(
		kgo.ConsumerGroup(given.Group), kgo.ConsumeTopics(given.Topic), kgo.Balancers(kgo.RangeBalancer()),
		kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(300*time.Millisecond), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)),
	)
	for ctx.Err() == nil {
		moment, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := client.PollFetches(moment)
		cancel()
		fetches.EachRecord(func(one *kgo.Record) {
			say(map[string]any{"read": []any{one.Partition, string(one.Value)}})
		})
		if !fetches.Empty() {
			must(client.CommitUncommittedOffsets(context.Background()))
		}
		client.AllowRebalance()
	}
	client.Close()
}

func transaction(ctx context.Context, given settings) {
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(strings.Split(os.Args[1], ",")...), kgo.TransactionalID(given.TransactionalId),
		kgo.ConsumerGroup(given.Group), kgo.ConsumeTopics(given.From), kgo.RequireStableFetchOffsets(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	must(err)
	defer session.Close()
	must(session.Begin())
	read := 0
	for read < given.Count {
		session.PollFetches(ctx).EachRecord(func(one *kgo.Record) {
			read++
			done := &kgo.Record{Topic: given.To, Key: one.Key, Value: append([]byte("done "), one.Value...)}
			session.Produce(ctx, done, func(_ *kgo.Record, err error) { must(err) })
		})
	}
	isCommitted, err := session.End(ctx, kgo.TryCommit)
	must(err)
	if !isCommitted {
		panic("the transaction was aborted")
	}
	must(session.Begin())
	for index := range 50 {
		aborted := &kgo.Record{Topic: given.To, Key: fmt.Appendf(nil, "key %d", index), Value: fmt.Appendf(nil, "aborted %d", index)}
		must(session.ProduceSync(ctx, aborted).FirstErr())
	}
	_, err = session.End(ctx, kgo.TryAbort)
	must(err)
	say(map[string]any{"read": []any{0, strconv.Itoa(read)}})
}

func committed(ctx context.Context, admin *kadm.Client, group string) map[string]int64 {
	fetched, err := admin.FetchOffsets(ctx, group)
	must(err)
	all := map[string]int64{}
	fetched.Each(func(one kadm.OffsetResponse) { all[strconv.Itoa(int(one.Partition))] = one.At })
	return all
}

func administer(ctx context.Context, given settings) {
	client := connect()
	defer client.Close()
	admin := kadm.NewClient(client)
	report := map[string]any{}
	_, err := admin.CreateTopic(ctx, 3, 2, nil, given.Topic)
	must(err)
	topics, err := admin.ListTopics(ctx, given.Topic)
	must(err)
	report["created"] = topics.Names()
	_, err = admin.CreateTopic(ctx, 3, 2, nil, given.Topic)
	var known *kerr.Error
	if errors.As(err, &known) {
		report["createdAgain"] = known.Message
	}
	report["partitions"] = len(topics[given.Topic].Partitions)
	report["replicas"] = len(topics[given.Topic].Partitions[0].Replicas)
	grown, err := admin.CreatePartitions(ctx, 2, given.Topic)
	must(err)
	must(grown.Error())
	topics, err = admin.ListTopics(ctx, given.Topic)
	must(err)
	report["partitionsAdded"] = len(topics[given.Topic].Partitions)
	commit := func(offsets map[int32]int64) {
		wanted := kadm.Offsets{}
		for partition, offset := range offsets {
			wanted.AddOffset(given.Source, partition, offset, -1)
		}
		must(admin.CommitAllOffsets(ctx, given.Group, wanted))
	}
	commit(map[int32]int64{0: 10, 1: 20})
	report["offsets"] = committed(ctx, admin, given.Group)
	commit(map[int32]int64{0: 5})
	report["offsetsAltered"] = committed(ctx, admin, given.Group)
	groups, err := admin.ListGroups(ctx)
	must(err)
	report["groups"] = groups.Groups()
	described, err := admin.DescribeGroups(ctx, given.Group)
	must(err)
	report["groupState"] = described[given.Group].State
	place := kadm.Offsets{}
	place.AddOffset(given.Source, 0, 15, -1)
	deleted, err := admin.DeleteRecords(ctx, place)
	must(err)
	report["lowWatermark"] = deleted[given.Source][0].LowWatermark
	starts, err := admin.ListStartOffsets(ctx, given.Source)
	must(err)
	report["earliest"] = starts[given.Source][0].Offset
	ends, err := admin.ListEndOffsets(ctx, given.Source)
	must(err)
	report["latest"] = ends[given.Source][0].Offset
	gone, err := admin.DeleteGroups(ctx, given.Group)
	must(err)
	must(gone.Error())
	groups, err = admin.ListGroups(ctx)
	must(err)
	report["groupDeleted"] = len(groups.Groups()) == 0
	_, err = admin.DeleteTopics(ctx, given.Topic)
	must(err)
	topics, err = admin.ListTopics(ctx)
	must(err)
	report["deleted"] = !topics.Has(given.Topic)
	say(report)
}

func configs(ctx context.Context, given settings) {
	client := connect()
	defer client.Close()
	admin := kadm.NewClient(client)
	retention := func() string {
		described, err := admin.DescribeTopicConfigs(ctx, given.Topic)
		must(err)
		for _, config := range described[0].Configs {
			if config.Key == "retention.ms" {
				return *config.Value
			}
		}
		return ""
	}
	before, after := "60000", "120000"
	_, err := admin.CreateTopic(ctx, 1, 1, map[string]*string{"retention.ms": &before}, given.Topic)
	must(err)
	created := retention()
	change := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &after}}
	_, err = admin.AlterTopicConfigs(ctx, change, given.Topic)
	must(err)
	say(map[string]any{"created": created, "altered": retention()})
}

func main() {
	var given settings
	must(json.Unmarshal([]byte(os.Args[3]), &given))
	verbs := map[string]func(context.Context, settings){
		"produce": produce, "consume": consume, "member": member,
		"transaction": transaction, "admin": administer, "configs": configs,
	}
	verbs[os.Args[2]](context.Background(), given)
}
