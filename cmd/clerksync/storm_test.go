package main_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/clerksync/clerksync/clerktest"
)

// steady is how many of those stay who sign up in a storm.
const steady = 1000

// storm makes people sign up, change and leave, some three events between two pauses, until it is told to stop. Of those who signed up,
// some stay, until others come: what lasts long does not do ever more.
func storm(clerk *clerktest.Server, pause time.Duration, stop <-chan struct{}) error {
	var errs []error
	var here []string
	for i := 0; ; i++ {
		id, err := clerk.CreateUser(clerktest.Fields{"first_name": fmt.Sprint("New ", i)})
		errs = append(errs, err, clerk.UpdateUser(id, clerktest.Fields{"last_name": "Changed"}), clerk.BanUser(id))
		if i%2 == 0 {
			errs = append(errs, clerk.DeleteUser(id))
		} else {
			here = append(here, id)
		}
		if len(here) > steady {
			errs = append(errs, clerk.DeleteUser(here[0]))
			here = here[1:]
		}
		select {
		case <-stop:
			return errors.Join(errs...)
		case <-time.After(pause):
		}
	}
}
