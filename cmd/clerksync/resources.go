package main

import (
	"fmt"
	"slices"
	"strings"

	clerksync "github.com/clerksync/clerksync/sync"
)

// resource is a word of CLERKSYNC_RESOURCES and the kinds that it brings.
type resource struct {
	name  string
	kinds []clerksync.Kind
}

// resources are all there are, in the order in which people are shown them.
var resources = func() (all []resource) {
	for _, k := range clerksync.Kinds() {
		i := slices.IndexFunc(all, func(r resource) bool { return r.name == k.Resource() })
		if i < 0 {
			i, all = len(all), append(all, resource{name: k.Resource()})
		}
		all[i].kinds = append(all[i].kinds, k)
	}
	return all
}()

// inOrder lists the kinds of a report as people are shown them.
func inOrder[V any](counts map[clerksync.Kind]V) (kinds []clerksync.Kind) {
	for _, k := range allKinds() {
		if _, there := counts[k]; there {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// allKinds are all that the mirror can keep.
func allKinds() (kinds []clerksync.Kind) {
	for _, r := range resources {
		kinds = append(kinds, r.kinds...)
	}
	return kinds
}

func resourceNames() string {
	names := make([]string, len(resources))
	for i, r := range resources {
		names[i] = r.name
	}
	return strings.Join(names, ",")
}

// parseResources reads the kinds to mirror. Users are always among them: the others point to them, and logins ask for them.
func parseResources(v string) ([]clerksync.Kind, error) {
	var kinds []clerksync.Kind
	for _, word := range strings.Split(v, ",") {
		i := slices.IndexFunc(resources, func(r resource) bool { return r.name == strings.TrimSpace(word) })
		if i < 0 {
			return nil, fmt.Errorf("must be some of %s, separated by commas, and names %q", resourceNames(), strings.TrimSpace(word))
		}
		kinds = append(kinds, resources[i].kinds...)
	}
	if !slices.Contains(kinds, clerksync.Users) {
		return nil, fmt.Errorf("must name users, which everything else belongs to: users,%s", v)
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), nil
}

// parseActivity reads how much of a sign-in's device and place is kept.
func parseActivity(v string) (clerksync.Activity, error) {
	activity, known := map[string]clerksync.Activity{
		"full": clerksync.ActivityFull, "coarse": clerksync.ActivityCoarse, "omit": clerksync.ActivityOmitted,
	}[v]
	if !known {
		return 0, checkChoice(v, "full", "coarse", "omit")
	}
	return activity, nil
}
