package minispike

import (
	"fmt"
	"strings"
)

// infoIndexCreate answers
// "sindex-create:ns=…;set=…;indexname=…;indextype=default;indexdata=bin,numeric".
func (s *Server) infoIndexCreate(arguments string) string {
	given := parseArguments(arguments)
	bin, kindName, _ := strings.Cut(given["indexdata"], ",")
	if b, ok := given["bin"]; ok {
		bin, kindName = b, given["type"]
	}
	name := given["indexname"]
	switch {
	case given.namespace() != s.config.Namespace:
		return infoError(codeNamespace, "unknown namespace")
	case name == "" || strings.ContainsAny(name, ":;,"), len(name) > maxIndex-1:
		return infoError(codeParameter, "bad indexname")
	case bin == "" || len(bin) > maxBinName:
		return infoError(codeParameter, "bad bin name")
	case len(given["set"]) > maxSetName:
		return infoError(codeParameter, "bad set name")
	case given["context"] != "" || given["exp"] != "",
		given["indextype"] != "" && !strings.EqualFold(given["indextype"], "default"):
		return infoError(codeUnsupported, "minispike indexes whole bins only")
	}
	x := &index{Name: name, Set: given["set"], Bin: bin}
	switch strings.ToLower(kindName) {
	case "numeric", "integer":
		x.Kind = kindInteger
	case "string":
		x.Kind = kindString
	case "blob", "geo2dsphere":
		return infoError(codeUnsupported, "minispike indexes integers and strings")
	default:
		return infoError(codeParameter, "bad bin type")
	}
	switch code := s.createIndex(x); code {
	case codeOK:
		return "ok"
	case codeIndexExists:
		return infoError(code, "index already exists")
	default:
		return infoError(code, "index not created")
	}
}

func (s *Server) infoIndexDelete(arguments string) string {
	given := parseArguments(arguments)
	if given.namespace() != s.config.Namespace {
		return infoError(codeNamespace, "unknown namespace")
	}
	switch code := s.dropIndex(given["indexname"]); code {
	case codeOK:
		return "ok"
	case codeIndexNotFound:
		return infoError(code, "no such index")
	default:
		return infoError(code, "index not dropped")
	}
}

func (s *Server) infoIndexExists(arguments string) string {
	given := parseArguments(arguments)
	return fmt.Sprint(given.namespace() == s.config.Namespace && s.store.indexes.Load().named(given["indexname"]) != nil)
}

// infoIndex answers "sindex", "sindex/namespace" and "sindex/namespace/name".
func (s *Server) infoIndex(arguments string) string {
	namespace, name, one := strings.Cut(arguments, "/")
	switch {
	case one:
		return s.indexStat(name)
	case namespace != "" && namespace != s.config.Namespace:
		return infoError(codeNamespace, "unknown namespace")
	}
	return s.infoIndexList("")
}

func (s *Server) infoIndexStat(arguments string) string {
	return s.indexStat(parseArguments(arguments)["indexname"])
}

func (s *Server) indexStat(name string) string {
	x := s.store.indexes.Load().named(name)
	if x == nil {
		return infoError(codeIndexNotFound, "no such index")
	}
	return fmt.Sprintf("load_pct=%d", x.built.Load())
}

func (s *Server) infoIndexList(string) string {
	var listed []string
	for _, x := range s.store.indexes.Load().all {
		set, kind, state := x.Set, "numeric", "RW"
		if set == "" {
			set = "NULL"
		}
		if x.Kind == kindString {
			kind = "string"
		}
		if x.built.Load() < 100 {
			state = "WO"
		}
		listed = append(listed, fmt.Sprintf("ns=%s:indexname=%s:set=%s:bin=%s:type=%s:indextype=default:context=null:exp=null:state=%s",
			s.config.Namespace, x.Name, set, x.Bin, kind, state))
	}
	return strings.Join(listed, ";")
}
