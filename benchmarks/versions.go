package benchmarks

import (
	"context"
	"debug/buildinfo"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// What the peers are made of: a module of a program in Go, and a jar of one in
// Java.
var (
	peerModules = map[string]string{"goka": "github.com/lovoo/goka", "bare": "github.com/twmb/franz-go"}
	peerJars    = map[string]string{"kafka-streams": "kafka-streams", "flink": "flink-runtime"}
)

// peerVersions are those of the peers as they were built, not as they are said
// to be built. What cannot be told is left out.
func (b *bench) peerVersions(ctx context.Context) map[string]any {
	versions := map[string]any{}
	for _, name := range b.Peers {
		if module := peerModules[name]; module != "" {
			info, err := buildinfo.ReadFile(filepath.Join(b.PeersAt, "bin", name))
			if version := moduleVersion(info, module); err == nil && version != "" {
				versions[path.Base(module)] = version
			}
		}
		if jar := peerJars[name]; jar != "" {
			if version := jarVersion(filepath.Join(b.PeersAt, "java", name, "target", "jars"), jar); version != "" {
				versions[name] = version
			}
			said, _ := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
			if quoted := strings.Split(string(said), `"`); len(quoted) > 1 {
				versions["java"] = quoted[1]
			}
		}
	}
	return versions
}

func moduleVersion(info *buildinfo.BuildInfo, module string) string {
	if info == nil {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}

func jarVersion(folder, jar string) string {
	found, _ := filepath.Glob(filepath.Join(folder, jar+"-[0-9]*.jar")) // the pattern is right
	if len(found) != 1 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), jar+"-"), ".jar")
}
