package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/heddle-ml/heddle/hal"
	"github.com/heddle-ml/heddle/models"
	"github.com/heddle-ml/heddle/models/arch"
	"github.com/heddle-ml/heddle/models/demo"
	"github.com/heddle-ml/heddle/scheduler"
)

// modelFlag is --model: a folder, or empty for the embedded demo model.
type modelFlag string

func (m *modelFlag) add(cmd *cobra.Command, what string) {
	cmd.Flags().StringVar((*string)(m), "model", "", what)
	_ = cmd.MarkFlagDirname("model") // fails only for a flag that does not exist
}

const modelHelp = "model `folder` (default: the embedded demo model)"

// name is what the model is called in output.
func (m modelFlag) name() string {
	if m == "" {
		return demo.Name
	}
	return string(m)
}

// folder refuses what is no folder, in words that fit a command line.
func (m modelFlag) folder() error {
	if m == "" {
		return nil
	}
	info, err := os.Stat(string(m))
	if err != nil {
		return fmt.Errorf("model %s: %w: name a folder with config.json and *.safetensors", m, cause(err))
	}
	switch {
	case info.IsDir():
		return nil
	case strings.HasSuffix(string(m), ".gguf"):
		return fmt.Errorf("model %s: GGUF models cannot be run yet; inspect and tokenize read them", m)
	}
	return fmt.Errorf("model %s is a file: name the folder that has config.json and *.safetensors", m)
}

// cause returns what the system said, without the operation and the path.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func (m modelFlag) describe() (*models.Description, error) {
	if err := m.folder(); err != nil {
		return nil, err
	}
	if m == "" {
		return models.DescribeFS(demo.Name, demo.FS)
	}
	return models.Describe(string(m))
}

func (m modelFlag) open(ctx context.Context, o *models.Options) (*models.Model, error) {
	if err := m.folder(); err != nil {
		return nil, err
	}
	if m == "" {
		return models.OpenFS(ctx, demo.Name, demo.FS, o)
	}
	return models.Open(ctx, string(m), o)
}

// images returns how a described model takes pictures, with its preprocessor
// settings applied; nil if it takes none.
func images(d *models.Description) (*arch.Images, error) {
	im := d.Arch.Images
	if im == nil {
		return nil, nil
	}
	const file = "preprocessor_config.json"
	data, err := d.Files.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return im, nil
	}
	if err != nil {
		return nil, err
	}
	return im.Preprocessor(d.Files.Path(file), data)
}

// placeFlags choose where a model runs.
type placeFlags struct {
	device  string
	strict  bool
	isolate bool
	plan    string
	context int
	policy  scheduler.Policy
}

func (p *placeFlags) add(cmd *cobra.Command, a *app) {
	f := cmd.Flags()
	f.StringVar(&p.device, "device", "auto", "`devices` in order of preference, such as cpu or vulkan:0,cpu; or modules apart, vision=vulkan:0,llm=cpu")
	f.BoolVar(&p.isolate, "isolate", false, "run each device in a process of its own: a driver that crashes or hangs does not end this one")
	f.BoolVar(&p.strict, "strict", false, "fail instead of falling back to another device")
	f.Int64Var(&p.policy.TileBatch, "tile-batch", 0, "tiles of one vision run (default: as the device prefers)")
	f.Int64Var(&p.policy.Chunk, "chunk", 0, "`tokens` of one prefill run (default: as the device prefers)")
	f.BoolVar(&p.policy.SelfCheck, "self-check", false, "check devices before they are used for the first time, and pass over those that compute wrong")
	f.BoolVar(&p.policy.Static, "static", false, "give every shape a fixed size, as devices with static shapes need")
	_ = cmd.RegisterFlagCompletionFunc("device", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return append(a.env.Registry.Names(), "auto"), cobra.ShellCompDirectiveNoFileComp
	})
}

// addOpen adds the flags that concern models opened for conversations.
func (p *placeFlags) addOpen(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.plan, "plan", "", "run by the plan in this `file` instead of making one")
	for _, other := range []string{"device", "tile-batch", "chunk", "static", "self-check"} {
		cmd.MarkFlagsMutuallyExclusive("plan", other) // the plan says these
	}
	f.IntVar(&p.context, "context", 0, "longest conversation in `tokens` (default: the model's limit, at most 4096)")
}

// registry returns the drivers, as devices are to be opened.
func (p *placeFlags) registry(a *app) *hal.Registry {
	if p.isolate {
		return a.env.Registry.Isolated()
	}
	return a.env.Registry
}

// resolve reads the flags into a policy.
func (p *placeFlags) resolve() (scheduler.Policy, error) {
	out := p.policy
	out.Strict = p.strict
	if out.TileBatch < 0 || out.Chunk < 0 || p.context < 0 {
		return out, usagef("--tile-batch, --chunk and --context must not be negative")
	}
	var err error
	out.Devices, out.Place, err = parseDevices(p.device)
	return out, err
}

// modules are what --device can place.
var modules = []string{"vision", "llm"}

// parseDevices reads "cpu,null" and "vision=vulkan:0,cpu,llm=cpu": a list
// belongs to the module before it, or, at the beginning, to all.
func parseDevices(text string) (all []string, place map[string][]string, err error) {
	if text == "auto" {
		return nil, nil, nil
	}
	module := ""
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		// An equals sign may also be part of a device's options.
		if left, right, ok := strings.Cut(item, "="); ok && !strings.ContainsAny(left, "?:/") {
			if !slices.Contains(modules, left) {
				return nil, nil, usagef("--device %s: no module is called %q; there are vision and llm", text, left)
			}
			if _, twice := place[left]; twice {
				return nil, nil, usagef("--device %s: module %s has two lists", text, left)
			}
			module, item = left, strings.TrimSpace(right)
		}
		if item == "" {
			return nil, nil, usagef("--device %q: a name is empty; write cpu, or vulkan:0,cpu, or vision=vulkan:0,llm=cpu", text)
		}
		if module == "" {
			all = append(all, item)
			continue
		}
		if place == nil {
			place = map[string][]string{}
		}
		place[module] = append(place[module], item)
	}
	return all, place, nil
}

// options returns how to open a model, with the plan if one is given.
func (p *placeFlags) options(a *app) (*models.Options, error) {
	policy, err := p.resolve()
	if err != nil {
		return nil, err
	}
	o := &models.Options{Registry: p.registry(a), Policy: policy, Context: p.context}
	if p.plan == "" {
		return o, nil
	}
	f, err := os.Open(p.plan)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", p.plan, cause(err))
	}
	defer f.Close()
	if o.Plan, err = scheduler.Read(f); err != nil {
		return nil, fmt.Errorf("plan %s: %s", p.plan, message(err))
	}
	// The graphs must be built for the chunk that the plan was made with.
	o.Policy = o.Plan.Policy
	return o, nil
}

// placement is a plan's placement in output.
type placement struct {
	Module string `json:"module"`
	Device string `json:"device"`
	Recipe string `json:"recipe"`
	Reason string `json:"reason"`
}

func placements(p *scheduler.Plan) []placement {
	out := []placement{}
	for _, q := range p.Placements {
		out = append(out, placement{q.Module, q.Device, q.Recipe, q.Reason})
	}
	return out
}

// places says in a few words what runs where: "all on cpu", "vision on
// vulkan:0, prefill and decode on cpu".
func places(p *scheduler.Plan) string {
	on := map[string][]string{}
	for _, q := range p.Placements {
		on[q.Device] = append(on[q.Device], q.Module)
	}
	if len(on) == 1 {
		return "all on " + p.Placements[0].Device
	}
	var out []string
	for _, d := range slices.Sorted(maps.Keys(on)) {
		out = append(out, strings.Join(on[d], " and ")+" on "+d)
	}
	return strings.Join(out, ", ")
}

// modelFile returns a file of the model's folder.
func (m modelFlag) file(name string) string { return filepath.Join(string(m), name) }
