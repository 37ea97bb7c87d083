//go:build !linux

// Command energy measures the daemon by what Linux says of its threads; there is nothing to run elsewhere.
package main

func main() {}
