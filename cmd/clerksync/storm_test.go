package main_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/clerksync/clerksync/clerktest"
)

// storm makes people sign up, change and leave, some three events between two pauses, until it is told to stop.
func storm(clerk *clerktest.Server, pause time.Duration, stop <-chan struct{}) error {
	var errs []error
	for i := 0; ; i++ {
		id, err := clerk.CreateUser(clerktest.Fields{"first_name": fmt.Sprint("New ", i)})
		errs = append(errs, err, clerk.UpdateUser(id, clerktest.Fields{"last_name": "Changed"}), clerk.BanUser(id))
		if i%2 == 0 {
			errs = append(errs, clerk.DeleteUser(id))
		}
		select {
		case <-stop:
			return errors.Join(errs...)
		case <-time.After(pause):
		}
	}
}
