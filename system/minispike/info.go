package minispike

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// infoCommand answers one info command. arguments is what follows its name.
type infoCommand func(s *Server, arguments string) string

// infoCommands is every info command that there is.
var infoCommands = map[string]infoCommand{
	"node":                    func(s *Server, _ string) string { return s.node },
	"name":                    func(s *Server, _ string) string { return s.node },
	"build":                   func(*Server, string) string { return build },
	"version":                 func(*Server, string) string { return "Aerospike Community Edition build " + build },
	"edition":                 func(*Server, string) string { return "Aerospike Community Edition" },
	"release":                 func(*Server, string) string { return "edition=community;version=" + build },
	"features":                func(*Server, string) string { return features },
	"status":                  func(*Server, string) string { return "ok" },
	"cluster-name":            func(s *Server, _ string) string { return s.config.ClusterName },
	"cluster-stable":          func(s *Server, _ string) string { return s.node },
	"partition-generation":    func(*Server, string) string { return "1" },
	"rebalance-generation":    func(*Server, string) string { return "1" },
	"peers-generation":        func(*Server, string) string { return "1" },
	"peers-clear-std":         (*Server).infoPeers,
	"peers-clear-alt":         (*Server).infoPeers,
	"peers-tls-std":           (*Server).infoPeers,
	"peers-tls-alt":           (*Server).infoPeers,
	"alumni-clear-std":        (*Server).infoPeers,
	"alumni-tls-std":          (*Server).infoPeers,
	"service":                 (*Server).infoService,
	"service-clear-std":       (*Server).infoService,
	"service-clear-alt":       func(*Server, string) string { return "" },
	"service-tls-std":         func(*Server, string) string { return "" },
	"service-tls-alt":         func(*Server, string) string { return "" },
	"services":                func(*Server, string) string { return "" },
	"services-alumni":         func(*Server, string) string { return "" },
	"replicas":                func(s *Server, _ string) string { return s.config.Namespace + ":0,1," + allPartitions },
	"replicas-all":            func(s *Server, _ string) string { return s.config.Namespace + ":1," + allPartitions },
	"replicas-master":         func(s *Server, _ string) string { return s.config.Namespace + ":" + allPartitions },
	"partitions":              func(*Server, string) string { return strconv.Itoa(partitions) },
	"rack-ids":                func(s *Server, _ string) string { return s.config.Namespace + ":0" },
	"racks":                   func(s *Server, _ string) string { return "ns=" + s.config.Namespace + ":rack_0=" + s.node },
	"namespaces":              func(s *Server, _ string) string { return s.config.Namespace },
	"namespace":               (*Server).infoNamespace,
	"statistics":              (*Server).infoStatistics,
	"sets":                    (*Server).infoSets,
	"sindex":                  (*Server).infoIndex,
	"sindex-list":             (*Server).infoIndexList,
	"sindex-create":           (*Server).infoIndexCreate,
	"sindex-delete":           (*Server).infoIndexDelete,
	"sindex-exists":           (*Server).infoIndexExists,
	"sindex-stat":             (*Server).infoIndexStat,
	"truncate":                func(s *Server, given string) string { return s.infoTruncate(given, false) },
	"truncate-namespace":      func(s *Server, given string) string { return s.infoTruncate(given, true) },
	"user-agent-set":          func(*Server, string) string { return "ok" },
	"query-show":              func(*Server, string) string { return "" },
	"compatibility-id":        func(*Server, string) string { return "15" },
	"feature-key":             func(*Server, string) string { return "" },
	"build_os":                func(*Server, string) string { return "go" },
	"udf-list":                func(*Server, string) string { return "" },
	"udf-put":                 refuseInfo,
	"udf-remove":              refuseInfo,
	"query-abort":             refuseInfo,
	"query-abort-all":         refuseInfo,
	"truncate-undo":           refuseInfo,
	"truncate-namespace-undo": refuseInfo,
	"set-config":              refuseInfo,
	"roster-set":              refuseInfo,
	"recluster":               refuseInfo,
	"quiesce":                 refuseInfo,
}

const (
	// build is the version of the server whose behaviour minispike follows.
	build    = "8.1.0.0"
	features = "batch-any;batch-index;cdt-list;cdt-map;cluster-stable;float;" +
		"peers;pipelining;pquery;pscans;replicas;replicas-all;replicas-master;sindex-exists;truncate-namespace"
)

// allPartitions is the map of a node that owns every partition.
var allPartitions = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xFF}, partitions/8))

func refuseInfo(*Server, string) string {
	return infoError(codeUnsupported, "not supported by minispike")
}

func infoError(code byte, text string) string { return fmt.Sprintf("ERROR:%d:%s", code, text) }

// serveInfo answers info commands: a line each, name, tab, answer.
func (s *session) serveInfo(body []byte) error {
	start := len(s.out)
	s.out = appendFrameHeader(s.out, frameInfo)
	asked := strings.Split(strings.TrimRight(string(body), "\n"), "\n")
	if len(body) == 0 {
		asked = []string{"node", "build", "edition", "features", "partition-generation", "service", "statistics"}
	}
	for _, line := range asked {
		if line == "" {
			continue
		}
		s.out = append(s.out, line...)
		s.out = append(s.out, '\t')
		s.out = append(s.out, s.server.info(line)...)
		s.out = append(s.out, '\n')
	}
	closeFrame(s.out, start)
	return nil
}

// info answers one command: "name", "name:arguments" or "name/arguments".
func (s *Server) info(line string) string {
	name, arguments := line, ""
	if at := strings.IndexAny(line, ":/;"); at >= 0 {
		name, arguments = line[:at], line[at+1:]
	}
	command, ok := infoCommands[name]
	if !ok {
		return infoError(codeParameter, "unrecognized command")
	}
	return command(s, arguments)
}

// infoPeers answers that there is no other node.
func (s *Server) infoPeers(string) string {
	return fmt.Sprintf("1,%d,[]", s.listener.Addr().(*net.TCPAddr).Port)
}

// infoService is where clients are to connect.
func (s *Server) infoService(string) string { return s.access }

func (s *Server) infoNamespace(arguments string) string {
	if arguments != s.config.Namespace {
		return "type=unknown"
	}
	metrics := s.store.db.Metrics()
	return fmt.Sprintf("ns_cluster_size=1;effective_replication_factor=1;replication-factor=1;"+
		"default-ttl=%d;nsup-period=%d;stop_writes=false;clock_skew_stop_writes=false;"+
		"strong-consistency=false;allow-ttl-without-nsup=true;data_used_bytes=%d;migrate_tx_partitions_remaining=0",
		s.store.ttl, int(s.config.SweepEvery/time.Second), metrics.DiskSpaceUsage())
}

func (s *Server) infoStatistics(string) string {
	metrics := s.store.db.Metrics()
	return fmt.Sprintf("cluster_size=1;cluster_integrity=true;cluster_is_member=true;uptime=%d;client_connections=%d;"+
		"migrate_partitions_remaining=0;process_cpu_pct=0;pebble_disk_bytes=%d;pebble_read_amp=%d;faults=%d",
		int(time.Since(s.started)/time.Second), s.sessions.Load(), metrics.DiskSpaceUsage(), metrics.ReadAmp(),
		s.config.Faults.hitsOrNone())
}

// infoSets lists the sets that have an index or were truncated: minispike
// does not count records.
func (s *Server) infoSets(string) string {
	known := map[string]bool{}
	for _, x := range s.store.indexes.Load().all {
		known[x.Set] = true
	}
	for set := range *s.store.cutoffs.Load() {
		known[set] = true
	}
	var out strings.Builder
	for set := range known {
		if set != "" {
			fmt.Fprintf(&out, "ns=%s:set=%s:truncate_lut=%d;", s.config.Namespace, set, (*s.store.cutoffs.Load())[set])
		}
	}
	return out.String()
}
