# A small world for ModemManager, inside mount and PID namespaces of its own. It looks for modems in /sys and /dev:
# here are made-up ones, in which the pseudo-terminals are the ports of a USB modem. It has a message bus of its own.
#
# Usage: sh modem_manager.sh FOLDER PRODUCT MODEL TTY...
#
# Ends, and all that is in here with it, when its standard input does.
set -eu
folder=$1 product=$2 model=$3
shift 3
cd "$folder"
mount --make-rprivate /
mkdir -p sys dev
mount -t tmpfs -o mode=755 tmpfs sys
mount -t tmpfs -o mode=755 tmpfs dev

# /dev: what programs need, and below the ports.
for node in null zero full random urandom tty; do
    : > dev/$node
    mount --bind /dev/$node dev/$node
done
mkdir dev/pts
mount --bind /dev/pts dev/pts

# /sys: a USB device of Quectel, with an interface for each port from the third on, as the driver "option" shows it.
usb=devices/platform/usb1/1-1
mkdir -p sys/$usb sys/class/tty sys/bus/usb/drivers/usb sys/bus/usb/drivers/option sys/bus/usb-serial
ln -s /sys/bus/usb sys/$usb/subsystem
ln -s /sys/bus/usb/drivers/usb sys/$usb/driver
echo 2c7c > sys/$usb/idVendor
echo "$product" > sys/$usb/idProduct
echo 0414 > sys/$usb/bcdDevice
echo Quectel > sys/$usb/manufacturer
echo "$model" > sys/$usb/product
number=2
for tty in "$@"; do
    name=ttyUSB$number
    interface=$usb/1-1:1.$number
    port=$interface/$name/tty/$name
    mkdir -p sys/$port
    ln -s /sys/bus/usb sys/$interface/subsystem
    ln -s /sys/bus/usb/drivers/option sys/$interface/driver
    printf '%02x\n' $number > sys/$interface/bInterfaceNumber
    echo ff > sys/$interface/bInterfaceClass
    echo 00 > sys/$interface/bInterfaceSubClass
    echo 00 > sys/$interface/bInterfaceProtocol
    ln -s /sys/bus/usb-serial sys/$interface/$name/subsystem
    ln -s /sys/class/tty sys/$port/subsystem
    ln -s /sys/$interface/$name sys/$port/device
    ln -s /sys/$port sys/class/tty/$name
    ln -s "$tty" dev/$name
    echo "action=add,name=$name,subsystem=tty"
    number=$((number + 1))
done > events
mount --rbind dev /dev
mount --rbind sys /sys

cat > bus.conf <<END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=$folder/bus</listen>
  <auth>EXTERNAL</auth>
  <auth>ANONYMOUS</auth>
  <allow_anonymous/>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
END
# Comes back when the bus listens.
dbus-daemon --config-file=bus.conf --fork --nopidfile

# mmcli looks for the bus of the system, the daemon in its test mode for that of the session.
unset DBUS_SYSTEM_BUS_ADDRESS
DBUS_SESSION_BUS_ADDRESS=unix:path=$folder/bus ModemManager --debug --test-session --test-no-udev --no-auto-scan \
    --test-no-suspend-resume --initial-kernel-events="$folder/events" < /dev/null &
exec cat > /dev/null
