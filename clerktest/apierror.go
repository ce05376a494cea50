package clerktest

import (
	"fmt"
	"net/http"
)

// apiError is an answer other than 200, with the codes and texts of Clerk's
// "Backend API errors" page.
type apiError struct {
	status              int
	code, message, long string
	param               string // meta.param_name
}

func (e *apiError) Error() string {
	return fmt.Sprintf("clerktest: %d %s: %s", e.status, e.code, e.long)
}

func errNoUser(id string) *apiError {
	return &apiError{http.StatusNotFound, "resource_not_found", "not found", "No user was found with id " + id, ""}
}

func errNoSession(id string) *apiError {
	return &apiError{http.StatusNotFound, "resource_not_found", "Session not found", "No session was found with id " + id, ""}
}

// errNoRoute says whose fault it is: with Clerk's own words nobody could tell a
// path that is not emulated from an object that does not exist.
func errNoRoute(r *http.Request) *apiError {
	return &apiError{http.StatusNotFound, "resource_not_found", "not found", "clerktest does not emulate " + r.Method + " " + r.URL.Path, ""}
}

func errUnauthenticated() *apiError {
	return &apiError{http.StatusUnauthorized, "authentication_invalid", "Invalid authentication",
		"Unable to authenticate the request, you need to supply an active session", ""}
}

func errWrongKey() *apiError {
	const text = "The provided Clerk Secret Key is invalid. Make sure that your Clerk Secret Key is correct."
	return &apiError{http.StatusUnauthorized, "clerk_key_invalid", text, text, ""}
}

func errTooMany() *apiError {
	return &apiError{http.StatusTooManyRequests, "too_many_requests", "Too many requests", "Too many requests. Please try again in a bit.", ""}
}

func errUnavailable() *apiError {
	return &apiError{http.StatusServiceUnavailable, "service_unavailable", "Service unavailable",
		"The service is currently unavailable. Please try again later.", ""}
}

func errInternal() *apiError {
	return &apiError{http.StatusInternalServerError, "internal_clerk_error", "Oops, an unexpected error occurred",
		"There was an internal error on our servers. We've been notified and are working on fixing it.", ""}
}

func errContentType(got string) *apiError {
	return &apiError{http.StatusUnsupportedMediaType, "unsupported_content_type", "Content-Type is unsupported",
		fmt.Sprintf("Content-Type %s is unsupported. You should use application/json instead.", got), ""}
}

func errBody() *apiError {
	return &apiError{http.StatusBadRequest, "request_body_invalid", "Request body invalid",
		"The request body is invalid. Please consult the API documentation for more information.", ""}
}

func unprocessable(code, message, long, param string) *apiError {
	return &apiError{http.StatusUnprocessableEntity, code, message, long, param}
}

func errValue(param, value string) *apiError {
	return unprocessable("form_param_value_invalid", "is invalid", value+" does not match one of the allowed values for parameter "+param, param)
}

func errFormat(param, wanted string) *apiError {
	return unprocessable("form_param_format_invalid", "is invalid", param+" must be "+wanted+".", param)
}

func errType(param, wanted string) *apiError {
	return unprocessable("form_param_type_invalid", "is invalid", fmt.Sprintf("`%s` must be a `%s`.", param, wanted), param)
}

func errUnknownParam(param string) *apiError {
	return unprocessable("form_param_unknown", "is unknown", param+" is not a valid parameter for this request.", param)
}

func errMissingParam(param string) *apiError {
	return unprocessable("form_param_missing", "is missing", param+" must be included.", param)
}

func errTooOften(param string) *apiError {
	return unprocessable("form_param_duplicate", "is duplicate", param+" is included more than the maximum of 100 times.", param)
}

func errConflict(param, other string) *apiError {
	return unprocessable("form_conditional_param_disallowed", "is not allowed",
		fmt.Sprintf("`%s` isn't allowed when `%s` is present.", param, other), param)
}

func errNoCursor() *apiError {
	return errNoResource("starting_after")
}

func errNoResource(param string) *apiError {
	return unprocessable("form_resource_not_found", "is missing", "The resource associated with the supplied "+param+" was not found.", param)
}

func errTaken(param string) *apiError {
	return unprocessable("form_identifier_exists", "already exists", "That "+param+" is taken. Please try another.", param)
}

// appendJSON writes the error as Clerk's body.
func (e *apiError) appendJSON(w *writer, trace string) {
	w.open("", '{').open("errors", '[').open("", '{')
	w.str("message", e.message).str("long_message", e.long).str("code", e.code)
	if e.param != "" {
		w.open("meta", '{').str("param_name", e.param).close('}')
	}
	w.close('}').close(']').str("clerk_trace_id", trace).close('}')
}
