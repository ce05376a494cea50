package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"strings"

	"golang.org/x/tools/go/ast/astutil"
)

// mutant is one way in which a file is broken.
type mutant struct {
	number int
	what   string // file, function and change; the same from one run to the next
}

// rewriter puts every mutant of some files into them at once; an environment variable chooses one when the tests run. So everything is
// compiled once.
type rewriter struct {
	files   *token.FileSet
	mutants []mutant
	file    string
	within  string              // the function
	written map[ast.Node]string // how nodes looked before there were mutants in them
}

// runtimeFile is added to a package whose files are rewritten.
const runtimeFile = `package %s

import (
	"os"
	"strconv"
)

var chosenMutant, _ = strconv.Atoi(os.Getenv("MUTANT"))

func mutate[T any](number int, as, instead T) T {
	if chosenMutant == number {
		return instead
	}
	return as
}
`

// rewrite returns a file with its mutants in it.
func (r *rewriter) rewrite(path, name string) (text []byte, pkg string, err error) {
	tree, err := parser.ParseFile(r.files, path, nil, 0)
	if err != nil {
		return nil, "", err
	}
	r.file, r.written = name, map[ast.Node]string{}
	for _, d := range tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil || f.Name.Name == "String" || f.Name.Name == "Format" {
			continue // constants are told in the reason of a survivor, and printing is nobody's guard
		}
		r.within = f.Name.Name
		f.Body = astutil.Apply(f.Body, r.read, r.mutate).(*ast.BlockStmt)
	}
	var b bytes.Buffer
	err = printer.Fprint(&b, r.files, tree)
	return b.Bytes(), tree.Name.Name, err
}

// read is called for each node before those within it.
func (r *rewriter) read(c *astutil.Cursor) bool {
	switch n := c.Node().(type) {
	case ast.Expr, *ast.ExprStmt, *ast.IncDecStmt, *ast.AssignStmt:
		r.written[n] = r.print(n)
	}
	return true
}

// print writes a node on one line.
func (r *rewriter) print(n ast.Node) string {
	var b strings.Builder
	_ = printer.Fprint(&b, r.files, n) // into memory
	return strings.Join(strings.Fields(b.String()), " ")
}

// mutate is called for each node after those within it.
func (r *rewriter) mutate(c *astutil.Cursor) bool {
	switch n := c.Node().(type) {
	case *ast.BinaryExpr:
		r.binary(c, n)
	case *ast.IfStmt:
		if _, compares := n.Cond.(*ast.BinaryExpr); !compares && !isChoice(n.Cond) {
			n.Cond = r.choose(n.Cond, &ast.UnaryExpr{Op: token.NOT, X: &ast.ParenExpr{X: n.Cond}}, "!("+r.written[n.Cond]+")")
		}
	case *ast.Ident:
		if _, returned := c.Parent().(*ast.ReturnStmt); returned && (n.Name == "true" || n.Name == "false") {
			other := fmt.Sprint(n.Name != "true")
			r.replace(c, r.choose(n, ast.NewIdent(other), other))
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "max" || f.Name == "min") {
			other := map[string]string{"max": "min", "min": "max"}[f.Name]
			r.replace(c, r.choose(n, &ast.CallExpr{Fun: ast.NewIdent(other), Args: n.Args}, other))
		}
	case *ast.ExprStmt, *ast.IncDecStmt:
		r.remove(c, n.(ast.Stmt))
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			r.remove(c, n)
		}
	}
	return true
}

// instead lists what each operator is replaced by.
var instead = map[token.Token][]token.Token{
	token.LSS: {token.LEQ, token.GEQ}, token.LEQ: {token.LSS, token.GTR}, token.GTR: {token.GEQ, token.LEQ}, token.GEQ: {token.GTR, token.LSS},
	token.EQL: {token.NEQ}, token.NEQ: {token.EQL}, token.LAND: {token.LOR}, token.LOR: {token.LAND},
}

// binary replaces comparisons and what joins them. Both sides may be guarded by the first one, so they stay unevaluated in functions.
func (r *rewriter) binary(c *astutil.Cursor, n *ast.BinaryExpr) {
	others := instead[n.Op]
	if others == nil {
		return
	}
	var cases []ast.Stmt
	for _, op := range others {
		other := &ast.BinaryExpr{X: n.X, Op: op, Y: n.Y}
		number := r.add(r.written[n], r.written[n.X]+" "+op.String()+" "+r.written[n.Y])
		cases = append(cases, &ast.CaseClause{List: []ast.Expr{number}, Body: []ast.Stmt{&ast.ReturnStmt{Results: []ast.Expr{other}}}})
	}
	r.replace(c, &ast.CallExpr{Fun: &ast.FuncLit{
		Type: &ast.FuncType{Params: &ast.FieldList{}, Results: &ast.FieldList{List: []*ast.Field{{Type: ast.NewIdent("bool")}}}},
		Body: &ast.BlockStmt{List: []ast.Stmt{
			&ast.SwitchStmt{Tag: ast.NewIdent("chosenMutant"), Body: &ast.BlockStmt{List: cases}},
			&ast.ReturnStmt{Results: []ast.Expr{n}},
		}},
	}})
}

// replace puts a node in the place of another, which still looks as that one did.
func (r *rewriter) replace(c *astutil.Cursor, by ast.Node) {
	r.written[by] = r.written[c.Node()]
	c.Replace(by)
}

// choose returns an expression that is one of two, of which the other one is told by a text.
func (r *rewriter) choose(as, other ast.Expr, text string) ast.Expr {
	return &ast.CallExpr{Fun: ast.NewIdent("mutate"), Args: []ast.Expr{r.add(r.written[as], text), as, other}}
}

func isChoice(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	if _, literal := call.Fun.(*ast.FuncLit); literal {
		return true
	}
	f, ok := call.Fun.(*ast.Ident)
	return ok && f.Name == "mutate"
}

// remove makes a statement one that may be left out.
func (r *rewriter) remove(c *astutil.Cursor, n ast.Stmt) {
	if c.Index() < 0 {
		return // it is part of another statement
	}
	number := r.add(r.written[n], "nothing")
	c.Replace(&ast.IfStmt{Cond: &ast.BinaryExpr{X: ast.NewIdent("chosenMutant"), Op: token.NEQ, Y: number}, Body: &ast.BlockStmt{List: []ast.Stmt{n}}})
}

// add notes a mutant and returns its number.
func (r *rewriter) add(as, other string) ast.Expr {
	number := len(r.mutants) + 1
	what := fmt.Sprintf("%s %s: %s → %s", r.file, r.within, as, other)
	r.mutants = append(r.mutants, mutant{number, what})
	return &ast.BasicLit{Kind: token.INT, Value: fmt.Sprint(number)}
}
