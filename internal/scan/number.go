package scan

import (
	"math"
	"strconv"
)

// A number of fewer digits than farDigits and without exponent is never out of range: the greatest float64 has 309 digits. No
// float64 has more than maxPlaces decimal places, nor needs a greater exponent to be written.
const (
	farDigits = 300
	maxPlaces = 1074
)

// Int returns the value of a JSON number that is an integer, however it is written: 17, 17.0 and 1.7e1 are 17, -0 is 0. It
// returns false for fractions, for what int64 cannot hold and for anything else. No rounding takes place on the way.
func Int(v []byte) (int64, bool) {
	if len(v) == 0 {
		return 0, false
	}
	if end, _ := number(v, 0); end != len(v) {
		return 0, false
	}
	digits, exponent := split(v)
	n, places, ok := integral(digits)
	if ok {
		n, ok = shift(n, exponent+places)
	}
	switch negative := v[0] == '-'; {
	case ok && negative && n <= 1<<63:
		return -int64(n), true
	case ok && !negative && n <= math.MaxInt64:
		return int64(n), true
	}
	return 0, false
}

// integral reads digits, with or without a point, as n × 10^places, of which n has no zeros at its end.
func integral(digits []byte) (n uint64, places int, ok bool) {
	point, decimals, zeros := false, 0, 0
	for _, c := range digits {
		if c == '.' {
			point = true
			continue
		}
		if point {
			decimals++
		}
		if zeros++; c == '0' {
			continue
		}
		if n, ok = shift(n, zeros); !ok || n > math.MaxUint64-uint64(c-'0') {
			return 0, 0, false
		}
		n, zeros = n+uint64(c-'0'), 0
	}
	return n, zeros - decimals, true
}

// shift returns n × 10^places, if it is a whole number that fits.
func shift(n uint64, places int) (uint64, bool) {
	if n == 0 {
		return 0, true
	}
	for ; places > 0; places-- {
		if n > math.MaxUint64/10 {
			return 0, false
		}
		n *= 10
	}
	return n, places == 0
}

// number reads the number that begins at i, and tells whether it has an exponent.
func number(b []byte, i int) (end int, exponent bool) {
	if i < len(b) && b[i] == '-' {
		i++
	}
	start := i
	if i = digits(b, i); i < 0 {
		return i, false
	}
	if b[start] == '0' {
		i = start + 1 // what follows a leading zero is not part of the number
	}
	if i < len(b) && b[i] == '.' {
		if i = digits(b, i+1); i < 0 {
			return i, false
		}
	}
	if i == len(b) || b[i]|0x20 != 'e' {
		return i, false
	}
	if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
		i++
	}
	return digits(b, i), true
}

// digits reads one digit or more.
func digits(b []byte, i int) int {
	start := i
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return ^i
	}
	return i
}

// split takes a number apart. Exponents beyond any that matters come out smaller than they are.
func split(num []byte) (digits []byte, exponent int) {
	if num[0] == '-' {
		num = num[1:]
	}
	for i, c := range num {
		if c|0x20 != 'e' {
			continue
		}
		negative := false
		for _, c := range num[i+1:] {
			switch {
			case c == '-':
				negative = true
			case c != '+' && exponent < math.MaxInt32/100:
				exponent = exponent*10 + int(c-'0')
			}
		}
		if negative {
			exponent = -exponent
		}
		return num[:i], exponent
	}
	return num, 0
}

// outOfRange tells whether a number is [Range]: greater than any float64, or written with more decimal places or a greater
// exponent than any float64 needs. The last two are about storage: jsonb keeps numbers as decimals, refuses more than 16,383
// places and exponents of ten digits, even of 0, and would write 1e-16383 out as 16 kB.
func outOfRange(num []byte) bool {
	digits, exponent := split(num)
	places := 0
	for i, c := range digits {
		if c == '.' {
			places = len(digits) - i - 1
		}
	}
	if exponent > maxPlaces || places-exponent > maxPlaces {
		return true
	}
	_, err := strconv.ParseFloat(string(num), 64) // whose only error for JSON's grammar is overflow
	return err != nil
}
