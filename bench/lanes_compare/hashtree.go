//go:build cgo || !unix

package main

import hashtree "github.com/pk910/hashtree-bindings"

// hashTree is hashtree's binding, which has its assembly on Unix through cgo only.
var hashTree = hashtree.HashByteSlice
