package main

import (
	"go/ast"
	"go/printer"
	"go/token"
	"io"
)

// original is a node as it was written.
type original struct{ node ast.Node }

// print writes the node.
func (o original) print(w io.Writer, files *token.FileSet) { _ = printer.Fprint(w, files, o.node) }

// plain takes mutants out of a copy of a node.
func plain(n ast.Node) original {
	holder := &ast.BlockStmt{}
	switch n := n.(type) {
	case ast.Expr:
		holder.List = []ast.Stmt{&ast.ExprStmt{X: unwrap(n)}}
	case ast.Stmt:
		holder.List = []ast.Stmt{n}
	}
	return original{holder.List[0]}
}

// unwrap returns what a mutated expression was, and what those within it were.
func unwrap(e ast.Expr) ast.Expr {
	switch n := e.(type) {
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.FuncLit); ok && len(n.Args) == 0 && len(f.Body.List) == 2 {
			if _, mutated := f.Body.List[0].(*ast.SwitchStmt); mutated {
				return unwrap(f.Body.List[1].(*ast.ReturnStmt).Results[0])
			}
		}
		if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "mutate" {
			return unwrap(n.Args[1])
		}
		args := make([]ast.Expr, len(n.Args))
		for i, a := range n.Args {
			args[i] = unwrap(a)
		}
		return &ast.CallExpr{Fun: n.Fun, Args: args}
	case *ast.BinaryExpr:
		return &ast.BinaryExpr{X: unwrap(n.X), Op: n.Op, Y: unwrap(n.Y)}
	case *ast.UnaryExpr:
		return &ast.UnaryExpr{Op: n.Op, X: unwrap(n.X)}
	case *ast.ParenExpr:
		return &ast.ParenExpr{X: unwrap(n.X)}
	}
	return e
}
